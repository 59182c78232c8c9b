// Node's own runner: https://nodejs.org/api/test.html#custom-reporters
// A test is reported when it ends, after those inside it; names are known when each begins.
import module from './report.cjs'

export default async function * (source) {
  const report = new module.Report()
  const names = []
  let inside = 0
  for await (const { type, data } of source) {
    if (type === 'test:start') {
      names.splice(data.nesting, Infinity, data.name)
    } else if (type === 'test:pass' || type === 'test:fail') {
      const holds = inside > data.nesting
      inside = data.nesting
      tell(report, data, type, [...names.slice(0, data.nesting), data.name], holds)
    }
  }
  report.write()
  yield ''
}

function tell (report, data, type, names, holds) {
  const error = data.details?.error
  const cause = error?.cause ?? error
  const suite = data.details?.type === 'suite' || holds
  // A suite, or a test with others inside it, fails with them: only its own failure is reported.
  if (suite && (type === 'test:pass' || error?.failureType === 'subtestsFailed')) return
  const wholeFile = data.nesting === 0 && data.file && isFile(data)
  report.add({
    file: data.file,
    names: wholeFile ? [] : names,
    line: wholeFile ? undefined : data.line,
    outcome: outcome(data, type, wholeFile),
    message: cause?.message ?? (error && String(cause)),
    stack: cause?.stack,
    seconds: (data.details?.duration_ms ?? 0) / 1000
  })
  if (wholeFile && type === 'test:fail') report.broken()
}

// A file that crashed, or has no test, is reported as a test named by its path.
function isFile (data) {
  return data.file.endsWith(data.name) && /\.[cm]?[jt]sx?$/.test(data.name)
}

function outcome (data, type, wholeFile) {
  if (data.skip !== undefined || data.todo !== undefined) return 'skipped'
  if (type === 'test:pass') return 'passed'
  return wholeFile ? 'error' : 'failed'
}
