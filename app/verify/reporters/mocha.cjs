'use strict'
// Mocha has one reporter: this is its own `spec`, which also records the results.
const { createRequire } = require('node:module')
const path = require('node:path')
const { Report } = require('./report.cjs')

const { reporters } = createRequire(path.join(process.cwd(), 'package.json'))('mocha')

module.exports = class extends reporters.Spec {
  constructor (runner, options) {
    super(runner, options)
    const report = new Report()
    const add = (test, outcome, error) => report.add({
      file: test.file ?? test.parent?.file,
      names: test.titlePath().filter(Boolean),
      outcome,
      message: error?.message,
      stack: error?.stack,
      seconds: (test.duration ?? 0) / 1000
    })
    runner.on('pass', (test) => add(test, 'passed'))
    runner.on('pending', (test) => add(test, 'skipped'))
    runner.on('fail', (test, error) => {
      const hook = test.type === 'hook'
      // Mocha does not report the tests below a failing hook.
      if (hook || runner.suite.bail()) report.broken()
      add(test, hook ? 'error' : 'failed', error)
    })
    runner.on('end', () => report.write())
  }
}
