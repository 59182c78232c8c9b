'use strict'
// The output of all reporters here: JUnit XML, one case after the other, with ids as Honk reads them.
// It runs inside the sandbox in the project's own node, from a folder that it cannot write to.

const fs = require('node:fs')
const path = require('node:path')
const { fileURLToPath } = require('node:url')

const folder = process.env.HONK_REPORT
const root = process.cwd()
const MAX_TEXT = 20000
const TAGS = { failed: 'failure', error: 'error', skipped: 'skipped' }
const SPECIAL = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\n': '&#10;', '\t': '&#9;' }

// Limited in length, without colors and without characters that XML forbids.
function shown (text) {
  return String(text ?? '')
    .slice(0, MAX_TEXT)
    .replace(/\x1b\[[0-9;?]*[ -/]*[@-~]/g, '')
    .replace(/[^\t\n\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '\ufffd')
    .replace(/[&<>"\n\t]/g, (c) => SPECIAL[c])
}

function relative (file) {
  if (!file) return ''
  const plain = file.startsWith('file:') ? fileURLToPath(file) : file
  return path.relative(root, path.resolve(root, plain)).split(path.sep).join('/')
}

// The first line of a stack in the project's own files, as `file:line: `.
function place (stack) {
  for (const found of String(stack ?? '').slice(0, MAX_TEXT).matchAll(/((?:file:\/\/)?[^\s():]+\.[cm]?[jt]sx?):(\d+):\d+/g)) {
    const file = relative(found[1])
    if (!file.startsWith('..') && !/(^|\/)node_modules\//.test(file)) return `${file}:${found[2]}: `
  }
  return ''
}

class Report {
  constructor () {
    this.cases = []
  }

  // `outcome`: passed, failed, error or skipped. Without names, the entry is for the file.
  add ({ file, names = [], line, outcome, message = '', stack = '', seconds = 0 }) {
    const where = relative(file)
    const words = names.map((name) => String(name))
    const title = words.pop()
    const prefix = title === undefined ? '' : [where, ...words, ''].join(' > ')
    const attributes = { classname: prefix, name: title ?? where, file: where }
    if (line) attributes.line = String(line - 1)
    attributes.time = String(seconds > 0 ? seconds : 0)
    const shownAs = Object.entries(attributes).map(([key, value]) => `${key}="${shown(value)}"`)
    this.cases.push(`<testcase ${shownAs.join(' ')}>${told(outcome, message, stack)}</testcase>\n`)
  }

  // The report is incomplete: a missing test was not removed.
  broken () {
    fs.writeFileSync(path.join(folder, 'broken'), '')
  }

  write () {
    const file = fs.openSync(path.join(folder, 'report.xml'), 'w')
    fs.writeSync(file, '<testsuites><testsuite>\n')
    for (let at = 0; at < this.cases.length; at += 1000) {
      fs.writeSync(file, this.cases.slice(at, at + 1000).join(''))
    }
    fs.writeSync(file, '</testsuite></testsuites>\n')
    fs.closeSync(file)
  }
}

function told (outcome, message, stack) {
  const tag = TAGS[outcome]
  if (tag === undefined) return ''
  const first = String(message || stack || '').trim().split('\n')[0].slice(0, 600)
  const text = tag === 'skipped' ? '' : `${stack || message}\n${place(stack)}`
  return `<${tag} message="${shown(first)}">${shown(text)}</${tag}>`
}

module.exports = { Report }
