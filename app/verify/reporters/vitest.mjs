// In addition to Vitest's own reporters: https://vitest.dev/api/advanced/reporters
// Vitest 3 and later report everything in `onTestRunEnd`, earlier versions in `onFinished`.
import module from './report.cjs'

const OUTCOMES = { pass: 'passed', fail: 'failed' }

export default class {
  onInit (vitest) {
    this.bail = vitest.config?.bail
  }

  onTestRunEnd (modules, errors, reason) {
    this.tell(modules.map((each) => each.task), errors, reason === 'interrupted')
  }

  onFinished (files, errors) {
    if (files) this.tell(files, errors ?? [], false)
  }

  tell (files, errors, interrupted) {
    if (this.told) return
    this.told = true
    const report = new module.Report()
    for (const file of files) {
      if (file.result?.errors?.length) {
        report.add({ file: file.filepath, outcome: 'error', ...failure(file) })
      }
      this.tasks(report, file, file.tasks ?? [], [])
    }
    const failed = files.some((file) => file.result?.state === 'fail')
    if (interrupted || errors.length || (this.bail && failed)) report.broken()
    report.write()
  }

  tasks (report, file, tasks, names) {
    for (const task of tasks) {
      const own = [...names, task.name]
      if (task.tasks) {
        if (task.result?.errors?.length) {
          report.add({ file: file.filepath, names: own, outcome: 'error', ...failure(task) })
        }
        this.tasks(report, file, task.tasks, own)
        continue
      }
      report.add({
        file: file.filepath,
        names: own,
        line: task.location?.line,
        outcome: OUTCOMES[task.result?.state] ?? 'skipped',
        ...failure(task),
        seconds: (task.result?.duration ?? 0) / 1000
      })
    }
  }
}

function failure (task) {
  const errors = task.result?.errors ?? []
  const stack = errors.map((error) => [error.stack ?? error.message, error.diff].filter(Boolean).join('\n'))
  return { message: errors[0]?.message, stack: stack.join('\n\n') }
}
