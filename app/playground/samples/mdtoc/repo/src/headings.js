const ATX = /^ {0,3}(#{1,6})[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$/;
const UNDERLINE = /^ {0,3}(=+|-+)[ \t]*$/;
const FENCE = /^ {0,3}(`{3,}|~{3,})/;

/** The headings of a Markdown text, in order, as `{ level, text }`. */
export function headings(markdown) {
  const found = [];
  const lines = markdown.split(/\r?\n/);
  let fence = "";

  lines.forEach((line, i) => {
    const mark = line.match(FENCE)?.[1] ?? "";
    if (fence) {
      if (mark.startsWith(fence)) fence = "";
      return;
    }
    if (mark) {
      fence = mark;
      return;
    }
    const atx = line.match(ATX);
    if (atx) {
      found.push({ level: atx[1].length, text: plain(atx[2]) });
      return;
    }
    const underline = line.match(UNDERLINE);
    if (underline && lines[i - 1].trim() !== "") {
      found.push({ level: underline[1][0] === "=" ? 1 : 2, text: plain(lines[i - 1]) });
    }
  });

  return found.filter((heading) => heading.text !== "");
}

/** A heading's text without links and emphasis. */
function plain(text) {
  return text
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/(\*\*|__|\*|~~)(.+?)\1/g, "$2")
    .trim();
}
