# frozen_string_literal: true

# Minitest loads `minitest/*_plugin.rb` from its load path:
# https://docs.seattlerb.org/minitest/#label-Writing+Extensions
require_relative "../honk_report"

module Minitest
  class HonkReporter < AbstractReporter
    def initialize
      super
      @report = HonkReport.new
    end

    def record(result)
      file, line = result.source_location
      failure = result.failure
      @report.add(
        file: file,
        names: [result.klass, result.name],
        line: line,
        outcome: outcome(result),
        message: failure&.message,
        backtrace: failure && (failure.respond_to?(:error) ? failure.error : failure).backtrace,
        seconds: result.time
      )
    end

    def report
      @report.write
    end

    private

    def outcome(result)
      return :skipped if result.skipped?
      return from_body?(result) ? :failed : :error if result.error?

      result.passed? ? :passed : :failed
    end

    # The test method itself raised, as opposed to its preparation.
    def from_body?(result)
      name = Regexp.escape(result.name)
      frames = result.failure.error.backtrace
      Array(frames).any? { |frame| frame.match?(/[`'#.]#{name}'\z/) }
    end
  end

  def self.plugin_honk_init(_options)
    reporter << HonkReporter.new
  end
end
