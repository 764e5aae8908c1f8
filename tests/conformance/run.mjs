// Runs the public conformance suite for HTTP caches (http-cache-tests) through a proxy, and judges the results.

import { spawn } from 'node:child_process'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { judge, readExpected, report } from './judge.mjs'

const here = path.dirname(fileURLToPath(import.meta.url))
const root = path.join(here, '../..')

const HELP = `usage: tests/conformance/run [options]
  --suite DIR          the suite's folder (default: target/npm/node_modules/http-cache-tests)
  --larder FILE        the program to test (default: target/release/larder)
  --against URL        test a proxy that is already running, in front of --origin-port
  --origin-port N      where the suite's own server listens (default: any free port)
  --expected FILE      tests that may fail, with reasons (default: tests/conformance/expected-failures.txt)
  --only ID            run one test and show its exchange
  --save FILE          write the raw results there`

const { values: options } = parseArgs({
  options: {
    suite: { type: 'string', default: path.join(root, 'target/npm/node_modules/http-cache-tests') },
    larder: { type: 'string', default: path.join(root, 'target/release/larder') },
    expected: { type: 'string', default: path.join(here, 'expected-failures.txt') },
    against: { type: 'string' },
    'origin-port': { type: 'string' },
    only: { type: 'string', default: '' },
    save: { type: 'string' },
    help: { type: 'boolean', default: false }
  }
})

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'larder-conformance-'))
const children = []

function start (command, args, environment) {
  const child = spawn(command, args, {
    cwd: options.suite,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  children.push(child)
  return child
}

function freePort () {
  return new Promise((resolve, reject) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
    server.on('error', reject)
  })
}

// Resolves with the first match in what the child prints; what it prints after that goes to `log`.
function awaitText (child, pattern, log) {
  return new Promise((resolve, reject) => {
    let text = ''
    const read = data => {
      log.write(data)
      text += data
      const found = text.match(pattern)
      if (found) resolve(found)
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    child.on('error', reject)
    child.on('exit', code => reject(new Error(`${child.spawnargs.join(' ')} ended with ${code}:\n${text}`)))
    setTimeout(() => reject(new Error(`${child.spawnargs[0]} did not start within 30 s:\n${text}`)), 30000).unref()
  })
}

async function startOrigin () {
  const port = options['origin-port'] ?? String(await freePort())
  const origin = start('node', ['server/server.mjs'], {
    npm_config_protocol: 'http',
    npm_config_port: port,
    npm_config_pidfile: path.join(folder, 'server.pid')
  })
  await awaitText(origin, /Listening on/, fs.createWriteStream(path.join(folder, 'origin.log')))
  return `http://127.0.0.1:${port}`
}

async function startLarder (origin) {
  const log = path.join(folder, 'larder.log')
  const larder = start(path.resolve(options.larder),
    ['--strict', '--port', '0', '--origin', origin, '--cache-dir', path.join(folder, 'cache')], {})
  const [, url] = await awaitText(larder, /listening on (http:\/\/\S+)/, fs.createWriteStream(log))
  return url
}

// The suite prints its results as one JSON object, behind whatever else it has to say.
function runSuite (base) {
  return new Promise((resolve, reject) => {
    const cli = start('node', ['--no-warnings', 'cli.mjs'], {
      npm_config_base: base,
      npm_config_id: options.only,
      npm_package_config_id: options.only
    })
    let text = ''
    cli.stdout.on('data', data => { text += data })
    cli.stderr.on('data', data => { text += data })
    cli.on('error', reject)
    cli.on('exit', () => {
      if (options.only) return resolve(text)
      const begin = text.search(/^\{$/m)
      if (begin < 0) return reject(new Error(`the suite gave no results:\n${text}`))
      resolve(JSON.parse(text.slice(begin, text.lastIndexOf('}') + 1)))
    })
  })
}

async function main () {
  if (options.help) {
    console.log(HELP)
    return true
  }
  const origin = await startOrigin()
  const base = options.against ?? await startLarder(origin)
  console.log(`suite ${options.suite}\norigin ${origin}\nproxy ${base}`)
  const results = await runSuite(base)
  if (options.only) {
    console.log(results)
    return true
  }
  if (options.save) fs.writeFileSync(options.save, JSON.stringify(results, null, 2))
  return report(await judge(options.suite, results), readExpected(options.expected))
}

let passed = false
try {
  passed = await main()
} catch (error) {
  console.error(`error: ${error.message}`)
}
// Larder writes to its folder until it has ended
await Promise.all(children.map(child => new Promise(resolve => {
  if (child.exitCode !== null || child.signalCode !== null) return resolve()
  child.on('exit', resolve)
  child.kill()
})))
if (passed) fs.rmSync(folder, { recursive: true, force: true })
else console.error(`logs: ${folder}`)
process.exit(passed ? 0 : 1)
