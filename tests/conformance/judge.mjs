// Judges the suite's raw results by the suite's own rules: a test fails for its own sake, or because its setup or a
// test that it depends on did; `required` and `optimal` tests have to pass, `check` tests only tell what a cache does.

import fs from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const BINDING = ['required', 'optimal']

async function load (suite, file) {
  const at = path.resolve(suite, file)
  return fs.existsSync(at) ? (await import(pathToFileURL(at))).default : undefined
}

// All tests of the suite by their id. Its command line adds a set to those of the index that none of its tables counts:
// Surrogate-Control, which no RFC defines and RFC 9213 has replaced. Those tests tell, and do not bind.
async function allTests (suite) {
  const tests = new Map()
  const add = (sets, kind) => sets.flatMap(set => set.tests).forEach(test => {
    if (!tests.has(test.id)) tests.set(test.id, { ...test, kind: kind ?? test.kind ?? 'required' })
  })
  add(await load(suite, 'tests/index.mjs'))
  add([await load(suite, 'tests/surrogate-control.mjs')].filter(Boolean), 'surrogate-control')
  return tests
}

// 'pass', 'fail', 'setup', 'retry', 'harness', 'dependency' or 'untested'.
function outcome (tests, results, id) {
  const result = results[id]
  if (result === undefined) return 'untested'
  const dependencies = tests.get(id)?.depends_on ?? []
  if (dependencies.some(other => outcome(tests, results, other) !== 'pass')) return 'dependency'
  if (result === true) return 'pass'
  if (result[0] === 'Setup') return result[1] === 'retry' ? 'retry' : 'setup'
  return result === false ? 'harness' : 'fail'
}

// One line for each test that was run.
export async function judge (suite, results) {
  const tests = await allTests(suite)
  for (const id of Object.keys(results)) {
    if (!tests.has(id)) throw new Error(`the suite has results for ${id}, but no such test`)
  }
  const judged = [...tests.values()].map(test => ({
    id: test.id,
    name: test.name,
    kind: test.kind,
    outcome: outcome(tests, results, test.id),
    detail: Array.isArray(results[test.id]) ? results[test.id][1] : ''
  }))
  return judged.filter(test => test.outcome !== 'untested')
}

// `id reason` on each line; `#` begins a comment.
export function readExpected (file) {
  const lines = fs.readFileSync(file, 'utf8').split('\n').map(line => line.trim())
  const expected = new Map()
  for (const line of lines.filter(line => line && !line.startsWith('#'))) {
    const [, id, reason] = line.match(/^(\S+)\s+(.+)$/) ?? []
    if (!reason) throw new Error(`${file}: no reason in "${line}"`)
    expected.set(id, reason)
  }
  return expected
}

// Prints the counts and what is amiss; false where something is that `expected` does not name, or names in vain.
export function report (judged, expected) {
  for (const kind of [...BINDING, 'check', 'surrogate-control']) {
    const all = judged.filter(test => test.kind === kind)
    if (all.length > 0) console.log(`${kind}: ${all.filter(test => test.outcome === 'pass').length} of ${all.length}`)
  }
  let right = judged.length > 0
  for (const test of judged.filter(test => BINDING.includes(test.kind))) {
    const reason = expected.get(test.id)
    if (test.outcome === 'pass') {
      if (reason) {
        right = false
        console.log(`PASSES, but is expected to fail: ${test.id}`)
      }
    } else if (reason) {
      console.log(`expected: ${test.kind} ${test.id} (${test.outcome}): ${reason}`)
    } else {
      right = false
      console.log(`FAILS: ${test.kind} ${test.id} (${test.outcome}): ${test.name}\n       ${test.detail ?? ''}`)
    }
  }
  console.log(right ? 'conformance: passed' : 'conformance: FAILED')
  return right
}
