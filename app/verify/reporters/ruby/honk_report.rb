# frozen_string_literal: true

# JUnit XML, one case after the other, with ids as Honk reads them. It runs inside the sandbox in
# the project's own Ruby, from a folder that it cannot write to, and needs no gem.
class HonkReport
  FOLDER = ENV.fetch("HONK_REPORT")
  MAX_TEXT = 20_000
  SPECIAL = { "&" => "&amp;", "<" => "&lt;", ">" => "&gt;", '"' => "&quot;", "\n" => "&#10;", "\t" => "&#9;" }.freeze
  TAGS = { failed: "failure", error: "error", skipped: "skipped" }.freeze

  def self.relative(file)
    path = File.expand_path(file.to_s)
    path.start_with?("#{Dir.pwd}/") ? path[(Dir.pwd.size + 1)..] : path
  end

  # The frames of a backtrace in the project's files, as `file:line: `.
  def self.own_frames(backtrace)
    Array(backtrace).filter_map do |frame|
      file, line = frame.to_s.match(/\A(.+?):(\d+)/)&.captures
      next unless file

      file = relative(file)
      "#{file}:#{line}: " unless file.start_with?("/", "<", ".", "vendor/")
    end
  end

  def initialize
    @cases = []
  end

  def add(file:, names:, line:, outcome:, message: "", backtrace: [], seconds: 0)
    where = HonkReport.relative(file)
    *groups, title = names.map(&:to_s)
    attributes = {
      classname: [where, *groups, ""].join(" > "), name: title, file: where,
      line: line.to_i - 1, time: format("%.6f", seconds.to_f)
    }
    shown = attributes.map { |key, value| "#{key}=\"#{escaped(value)}\"" }.join(" ")
    @cases << "<testcase #{shown}>#{told(outcome, message, backtrace)}</testcase>\n"
  end

  # Something failed outside of any test, so not every test is in the report.
  def broken
    File.write(File.join(FOLDER, "broken"), "")
  end

  def write
    File.open(File.join(FOLDER, "report.xml"), "w") do |file|
      file.write("<testsuites><testsuite>\n", *@cases, "</testsuite></testsuites>\n")
    end
  end

  private

  def told(outcome, message, backtrace)
    tag = TAGS[outcome]
    return "" unless tag

    message = message.to_s.strip
    # The innermost frame last: that is where Honk looks for the failing line.
    lines = [message, *HonkReport.own_frames(backtrace).first(30).reverse]
    text = outcome == :skipped ? "" : lines.join("\n")
    "<#{tag} message=\"#{escaped(message.lines.first.to_s.strip)}\">#{escaped(text)}</#{tag}>"
  end

  # Limited in length, without colors and without characters that XML forbids.
  def escaped(text)
    text = text.to_s.encode("UTF-8", invalid: :replace, undef: :replace).scrub
    text = text[0, MAX_TEXT].gsub(/\e\[[0-9;?]*[ -\/]*[@-~]/, "")
    text.gsub(/[\u0000-\u0008\u000b-\u001f\ufffe\uffff]/, "\ufffd").gsub(/[&<>"\n\t]/, SPECIAL)
  end
end
