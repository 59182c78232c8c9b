"""What git does inside the sandboxes that pack a work tree, as scripts of the shell.

Each runs in the work tree, which is read-only there. `$out` is a folder that the sandbox writes and
the worker reads, `$saved` git's index at the time of checkout, `$made` the exclude file for what
setup created, `$objects` the mirror's objects. The agent's own `.git` is used for one thing: which
ignored files it added.
"""

from __future__ import annotations

from app.git.checkout import PLAIN_ATTRIBUTES

# `git add` exits with 1 when some files could not be read; the rest is packed.
BEGIN = f"""
git init -q --template=
mkdir -p "$GIT_DIR/info" "$GIT_DIR/objects/info"
printf '%s\\n' "$objects" > "$GIT_DIR/objects/info/alternates"
printf '%s\\n' '{PLAIN_ATTRIBUTES}' > "$GIT_DIR/info/attributes"
cat "$made" "$out/generated" > "$GIT_DIR/info/exclude"
cp -p "$saved" "$GIT_DIR/index"
"""
ADD = """
code=0
git add -A --ignore-errors . 2> "$out/words" || code=$?
if [ "$code" -gt 1 ]; then cat "$out/words"; exit "$code"; fi
"""
# What the agent added itself is packed even if ignored. Its index is read as data.
TAKE_ADDED = """
if [ -f .git/index ] && cp .git/index "$out/theirs" 2> /dev/null; then
  git ls-files -z > "$out/ours"
  GIT_INDEX_FILE="$out/theirs" git ls-files -z > "$out/added" 2> /dev/null || : > "$out/added"
  [ ! -e "$out/begun" ] || sort -z -u -o "$out/added" "$out/added" "$out/begun"
  comm -z -13 --nocheck-order "$out/ours" "$out/added" > "$out/only-theirs"
  xargs -0 -r sh -c '
    for each; do
      if [ -L "./$each" ] || { [ -f "./$each" ] && [ -r "./$each" ]; }; then
        printf "%s\\0" "$each"
      fi
    done' look < "$out/only-theirs" > "$out/wanted"
  git update-index -z --add --stdin < "$out/wanted" 2> /dev/null \
    || xargs -0 -r -n 100 sh -c '
      git update-index --add -- "$@" 2> /dev/null && exit
      for each; do git update-index --add -- "$each" || :; done
    ' add < "$out/wanted" 2>> "$out/words"
  git ls-files -c -i -z --exclude-from="$made" > "$out/made-added"
  git update-index -z --force-remove --stdin < "$out/made-added"
fi
"""
REV_PACK = """
printf '%s\\n^%s\\n^%s^{tree}\\n' "$tree" "$base" "$base" \
  | git pack-objects -q --revs --thin --stdout > "$out/pack"
"""
PACK = f"""
set -eu
base=$1 objects=$2 out=$3 saved=$4 made=$5 laid=$6 contents=$7 submodules=$8 last=$9
export GIT_DIR="$out/git" GIT_WORK_TREE="$PWD"
{BEGIN}
{ADD}
: > "$out/made-added"
{TAKE_ADDED}
git ls-files -o -i -z --directory --exclude-from="$out/generated" | sort -z > "$out/ignored"
cp "$made" "$GIT_DIR/info/exclude"
git ls-files -o -z --directory --no-empty-directory --exclude-standard | sort -z \
  | comm -z -12 - "$out/ignored" > "$out/left"
git ls-files -s -z | grep -z '^160000 ' > "$out/links" || :
if [ -s "$out/links" ] || [ -n "$submodules" ]; then
  cut -z -f 2- < "$out/links" | git update-index -z --force-remove --stdin
  {{ git ls-tree -r -z --full-tree "$base" | grep -z '^160000 ' || :; }} \\
    | git update-index -z --replace --index-info
fi
: > "$out/altered"
[ ! -s "$laid" ] || xargs -0 -r -n 2 sh -c '
  [ ! -f "./$3" ] || [ -z "$1" ] && exit 0
  [ "./$3" -nt "$1/$2" ] || [ "./$3" -ot "$1/$2" ] || exit 0
  cmp -s "./$3" "$1/$2" || printf "%s\\0" "$3"
' look "$contents" < "$laid" > "$out/altered"
tree=$(git write-tree)
printf '%s' "$tree" > "$out/tree"
[ "$tree" != "$last" ] || exit 0
{REV_PACK}
"""

SNAPSHOT = f"""
set -eu
base=$1 objects=$2 out=$3 saved=$4 made=$5
export GIT_DIR="$out/git" GIT_WORK_TREE="$PWD"
: > "$out/pack"
if [ ! -e "$out/begun" ]; then
{BEGIN}
  : > "$out/theirs"
  : > "$out/tree"
  git ls-files -z > "$out/begun"
fi
if [ -f .git/index ] && cmp -s .git/index "$out/theirs"; then
{ADD}
  if [ ! -s "$out/only-theirs" ]; then
    [ ! "$GIT_DIR/index" -ef "$out/index-then" ] || exit 0
    git ls-files -z > "$out/ours"
    comm -z -13 --nocheck-order "$out/ours" "$out/added" > "$out/only-theirs"
  fi
else
  # What it no longer has is not packed either.
  rm -f "$GIT_DIR/index"
  cp -p "$saved" "$GIT_DIR/index"
{ADD}
  echo > "$out/only-theirs"
fi
if [ -s "$out/only-theirs" ]; then
{TAKE_ADDED}
fi
tree=$(git write-tree)
[ "$GIT_DIR/index" -ef "$out/index-then" ] || ln -f "$GIT_DIR/index" "$out/index-then"
[ "$tree" != "$(cat "$out/tree")" ] || exit 0
printf '%s' "$tree" > "$out/tree"
cd "$GIT_DIR/objects"
set -- pack/*.pack
if [ -e "$1" ]; then
{REV_PACK}
  exit 0
fi
set -- ??/*
[ -e "$1" ] || exit 0
for each; do
  printf '%s%s\\n' "${{each%/*}}" "${{each#*/}}"
done | git pack-objects -q --window=0 --stdout > "$out/pack"
rm -rf ??
"""
"""One snapshot of several in the same `$out`, where git's index stays.

It does as little as it can: git writes its index again only if a file changed, and the objects that
lie there are the new ones, which the worker keeps from then on. A file that git ignores is noticed
because the agent's index or that of the checkout (`begun`) has it and git's own does not. For a
huge file, git writes a pack of its own, so what is new then follows from the trees. A failure in
the middle leaves `$out` unusable.
"""
