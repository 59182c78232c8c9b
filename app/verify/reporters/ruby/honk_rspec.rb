# frozen_string_literal: true

# A formatter of RSpec 3: https://rspec.info/documentation/3.12/rspec-core/RSpec/Core/Formatters.html
require_relative "honk_report"

class HonkRSpec
  RSpec::Core::Formatters.register(
    self, :example_passed, :example_failed, :example_pending, :dump_summary
  )

  def initialize(_output)
    @report = HonkReport.new
  end

  def example_passed(notification)
    add(notification.example, :passed)
  end

  def example_failed(notification)
    error = notification.exception
    add(
      notification.example, :failed,
      message: notification.message_lines.join("\n"),
      backtrace: error.backtrace
    )
  end

  def example_pending(notification)
    result = notification.example.execution_result
    add(notification.example, :skipped, message: result.pending_message)
  end

  def dump_summary(summary)
    outside = summary.respond_to?(:errors_outside_of_examples_count)
    @report.broken if outside && summary.errors_outside_of_examples_count.positive?
    @report.write
  end

  private

  def add(example, outcome, **more)
    groups = example.example_group.parent_groups.reverse.map(&:description)
    @report.add(
      file: example.metadata[:file_path],
      names: [*groups, example.description],
      line: example.metadata[:line_number],
      outcome: outcome,
      seconds: example.execution_result.run_time,
      **more
    )
  end
end
