// The server under test, on free ports of 127.0.0.1.
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { run, start, stop, within } from './process.mjs'

const MODULE = fileURLToPath(new URL('../../..', import.meta.url))

/** Builds the command as it ships and returns its path; PLAYERS_BINARY names one to use instead. */
export async function build (dir) {
  return process.env.PLAYERS_BINARY ?? await buildPackage(dir, 'headwater', './cmd/headwater')
}

/** Builds a package of the module into dir and returns the path of the command. */
export async function buildPackage (dir, name, pkg) {
  const path = join(dir, name)
  await run('go', ['build', '-o', path, pkg], { cwd: MODULE, env: { ...process.env, CGO_ENABLED: '0' } })
  return path
}

/** Starts the server and resolves once it listens. */
export async function serve (binary, env = {}) {
  const data = await mkdtemp(join(tmpdir(), 'headwater-data-'))
  let successor = 0
  let { process: p, address } = await listen(binary, env, data, { rtmp: '127.0.0.1:0', http: '127.0.0.1:0', admin: '127.0.0.1:0' })
  return {
    data,
    log: () => p.log,
    publish: name => `rtmp://${address.rtmp}/live/${name}`,
    url: path => `http://${address.http}${path}`,
    admin: path => `http://${address.admin}${path}`,
    kill: () => stop(p, 'SIGKILL'),
    /** Has it start itself anew and hand its listeners over. */
    async handOver () {
      p.child.kill('SIGUSR2')
      const handed = () => / msg="handed over" pid=(\d+)/.exec(p.log)
      await within(20000, 'the server hands over', (async () => { while (!handed()) await sleep(20) })())
      successor = Number(handed()[1])
    },
    /** Removes what it keeps in its folder. */
    forget: async () => { for (const name of await readdir(data)) await rm(join(data, name), { recursive: true }) },
    /** Starts it again, where it was and with what it left behind. */
    async again () {
      ({ process: p } = await listen(binary, env, data, address))
    },
    async close () {
      if (successor === 0) await stop(p)
      else {
        process.kill(successor)
        await p.ended // its output is the successor's too
      }
      await rm(data, { recursive: true, force: true })
    }
  }
}

async function listen (binary, env, data, at) {
  const p = start(binary, ['serve', '--rtmp', at.rtmp, '--http', at.http, '--admin', at.admin, '--data', data,
    '--log-format', 'text'], { env: { ...process.env, ...env } })
  const address = {}
  const ready = new Promise(resolve => {
    p.onLine = line => {
      const proto = / proto="?(\w+)"?/.exec(line)
      const addr = / addr="?([^" ]+)"?/.exec(line)
      if (!/ msg="?listening"?( |$)/.test(line) || !proto || !addr) return
      address[proto[1]] = addr[1]
      if (address.rtmp && address.http && address.admin) resolve()
    }
  })
  const failed = p.ended.then(code => { throw new Error(`the server ended with ${code}\n${p.log}`) })
  failed.catch(() => {})
  try {
    await within(20000, 'the server listens', Promise.race([ready, failed]))
  } catch (error) {
    await stop(p, 'SIGKILL')
    throw error
  }
  return { process: p, address }
}
