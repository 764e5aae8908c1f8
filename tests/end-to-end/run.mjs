// Larder in front of a real JSON API server and of nginx: MISS, HIT, restart, HIT, clear beside the running proxy, MISS,
// stop, clear offline, MISS. Every body is compared, byte for byte, with what the origin says when asked directly.

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import fs from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '../..')

const HELP = `usage: tests/end-to-end/run [options]
  --larder FILE        the program to test (default: target/release/larder)
  --json-server FILE   json-server's program (default: the one below target/npm)
  --nginx FILE         nginx's program (default: nginx)`

const { values: options } = parseArgs({
  options: {
    larder: { type: 'string', default: path.join(root, 'target/release/larder') },
    'json-server': { type: 'string', default: path.join(root, 'target/npm/node_modules/json-server/lib/bin.js') },
    nginx: { type: 'string', default: 'nginx' },
    help: { type: 'boolean', default: false }
  }
})

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'larder-end-to-end-'))
const children = new Set()

function start (command, args) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  child.text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', data => { child.text += data })
  children.add(child)
  child.once('exit', () => children.delete(child))
  return child
}

async function freePort () {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  return port
}

// Tries until `check` does not throw, for 30 s at most; a child that ends ends the wait.
async function eventually (child, check) {
  const deadline = Date.now() + 30000
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (Date.now() > deadline || child.exitCode !== null) throw new Error(`${error.message}\n${child.text}`)
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  }
}

// Status, fields and the bytes of the body as they came.
function ask (url, method = 'GET', body = undefined) {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) }
    const request = http.request(url, { method, headers, agent: false }, response => {
      const pieces = []
      response.on('data', piece => pieces.push(piece))
      response.on('end', () => resolve({ status: response.statusCode, fields: response.headers, body: Buffer.concat(pieces) }))
      response.on('error', reject)
    })
    request.setTimeout(30000, () => request.destroy(new Error(`no answer from ${url} within 30 s`)))
    request.on('error', reject)
    request.end(body)
  })
}

async function startJsonServer () {
  const posts = Array.from({ length: 200 }, (_, i) => ({ id: String(i + 1), title: `post ${i + 1}`, text: 'äöü '.repeat(i) }))
  const database = path.join(folder, 'db.json')
  fs.writeFileSync(database, JSON.stringify({ posts }))
  const port = await freePort()
  const child = start('node', [options['json-server'], '--port', String(port), database])
  const url = `http://localhost:${port}`
  await eventually(child, () => ask(`${url}/posts/1`))
  return { name: 'json-server', url, targets: ['/posts/1', '/posts', '/posts?_page=2&_per_page=20'], missing: '/posts/none' }
}

async function startNginx () {
  const site = path.join(folder, 'site')
  fs.mkdirSync(path.join(site, 'fresh'), { recursive: true })
  const files = { 'old.bin': 20000, 'fresh/small.bin': 1024, 'fresh/middle.bin': 100 * 1024, 'fresh/large.bin': 10 * 1024 * 1024 }
  for (const [name, size] of Object.entries(files)) fs.writeFileSync(path.join(site, name), randomBytes(size))
  // Its age since Last-Modified is what makes it fresh.
  fs.utimesSync(path.join(site, 'old.bin'), 1600000000, 1600000000)
  const port = await freePort()
  const own = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(kind => `${kind}_temp_path ${folder}/nginx-${kind};`)
  fs.writeFileSync(path.join(folder, 'nginx.conf'), `
    user root; daemon off; pid ${folder}/nginx.pid; error_log stderr;
    events {}
    http { access_log off; ${own.join(' ')}
      server { listen 127.0.0.1:${port}; root ${site}; location /fresh/ { expires 1h; } } }`)
  const child = start(options.nginx, ['-c', path.join(folder, 'nginx.conf'), '-e', 'stderr'])
  const url = `http://127.0.0.1:${port}`
  await eventually(child, () => ask(`${url}/old.bin`))
  return { name: 'nginx', url, targets: Object.keys(files).map(name => `/${name}`) }
}

async function startLarder (origin) {
  // the application hears the port, so that it is in the key
  origin.port ??= await freePort()
  const words = ['--port', String(origin.port), '--origin', origin.url, '--cache-dir', path.join(folder, `cache-${origin.name}`)]
  const child = start(options.larder, words)
  const url = await eventually(child, () => child.text.match(/listening on (http:\/\/\S+)/)?.[1] ?? assert.fail('not listening'))
  return { child, url }
}

async function stopLarder ({ child }) {
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  const [code] = await ended
  assert.equal(code, 0, `SIGTERM ended Larder with ${code}:\n${child.text}`)
}

// Asks for every target through Larder, and expects this X-Cache word and the origin's own bytes.
async function expectAll (larder, origin, word) {
  for (const target of origin.targets) {
    const direct = await ask(origin.url + target)
    const through = await ask(larder.url + target)
    const shown = `${origin.name} ${target}: ${JSON.stringify(through.fields)}`
    assert.equal(through.fields['x-cache'], word, shown)
    assert.equal(through.status, direct.status, shown)
    assert.ok(through.body.equals(direct.body), `other bytes than the origin's: ${shown}`)
  }
  console.log(`  ${word} for ${origin.targets.length} targets`)
}

async function clear (origin) {
  const words = ['--clear-cache', '--cache-dir', path.join(folder, `cache-${origin.name}`)]
  const { stdout } = await promisify(execFile)(options.larder, words)
  assert.match(stdout, new RegExp(`removed ${origin.targets.length} stored responses`), stdout)
  console.log(`  ${stdout.trim()}`)
}

async function wholePath (origin) {
  console.log(`${origin.name} at ${origin.url}`)
  let larder = await startLarder(origin)
  await expectAll(larder, origin, 'MISS')
  await expectAll(larder, origin, 'HIT')
  console.log('  restart')
  await stopLarder(larder)
  larder = await startLarder(origin)
  await expectAll(larder, origin, 'HIT')
  await clear(origin)
  await expectAll(larder, origin, 'MISS')
  await expectAll(larder, origin, 'HIT')
  console.log('  stop')
  await stopLarder(larder)
  await clear(origin)
  larder = await startLarder(origin)
  await expectAll(larder, origin, 'MISS')
  await stopLarder(larder)
}

// A write through Larder is seen at once: the unsafe method invalidates what was stored for its URL.
async function writing (origin) {
  const larder = await startLarder(origin)
  await ask(`${larder.url}/posts/7`)
  assert.equal((await ask(`${larder.url}/posts/7`)).fields['x-cache'], 'HIT')
  const written = await ask(`${larder.url}/posts/7`, 'PUT', '{"title":"changed"}')
  assert.equal(written.status, 200, written.body.toString())
  const after = await ask(`${larder.url}/posts/7`)
  assert.equal(after.fields['x-cache'], 'MISS')
  assert.equal(JSON.parse(after.body).title, 'changed')
  console.log('  a PUT is seen at once')
  await stopLarder(larder)
}

async function main () {
  const jsonServer = await startJsonServer()
  await wholePath(jsonServer)
  await writing(jsonServer)
  await wholePath(await startNginx())
}

if (options.help) {
  console.log(HELP)
  process.exit(0)
}
let passed = false
try {
  await main()
  passed = true
} catch (error) {
  console.error(`error: ${error.stack}`)
}
for (const child of children) child.kill()
if (passed) fs.rmSync(folder, { recursive: true, force: true })
console.log(passed ? 'end to end: passed' : `end to end: FAILED, see ${folder}`)
process.exit(passed ? 0 : 1)
