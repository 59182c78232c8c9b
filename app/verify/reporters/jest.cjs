'use strict'
// In addition to Jest's own reporters: https://jestjs.io/docs/configuration#reporters-arraymodulename--modulename-options
const { Report } = require('./report.cjs')

const OUTCOMES = { passed: 'passed', failed: 'failed' }

module.exports = class {
  constructor (config) {
    this.bail = config.bail
  }

  onRunComplete (contexts, results) {
    const report = new Report()
    for (const file of results.testResults) {
      if (file.testExecError || (file.failureMessage && !file.testResults.length)) {
        const error = file.testExecError ?? {}
        const message = error.message ?? file.failureMessage
        report.add({ file: file.testFilePath, outcome: 'error', message, stack: file.failureMessage })
      }
      for (const test of file.testResults) {
        report.add({
          file: file.testFilePath,
          names: [...test.ancestorTitles, test.title],
          line: test.location?.line,
          outcome: OUTCOMES[test.status] ?? 'skipped',
          message: test.failureMessages?.[0],
          stack: test.failureMessages?.join('\n\n'),
          seconds: (test.duration ?? 0) / 1000
        })
      }
    }
    if (results.wasInterrupted || (this.bail && results.numFailedTests)) report.broken()
    report.write()
  }
}
