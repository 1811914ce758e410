// Processes that a test starts: each is ended by the one who started it.
import { spawn } from 'node:child_process'

const LOG_LIMIT = 64 * 1024

/** Starts a command. The result keeps the end of what it wrote and a promise of its end. */
export function start (command, args, options = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
  const p = { child, log: '', onLine: () => {} }
  let partial = ''
  const take = chunk => {
    p.log = (p.log + chunk).slice(-LOG_LIMIT)
    const lines = (partial + chunk).split('\n')
    partial = lines.pop()
    lines.forEach(line => p.onLine(line))
  }
  child.stdout.on('data', take)
  child.stderr.on('data', take)
  p.ended = new Promise(resolve => {
    child.on('error', error => { p.log += error; resolve(-1) })
    child.on('close', code => resolve(code))
  })
  return p
}

/** Ends a process and waits for it; one that does not listen is killed. */
export async function stop (p, signal = 'SIGTERM') {
  if (p.child.exitCode !== null || p.child.signalCode !== null) return
  p.child.kill(signal)
  const timer = setTimeout(() => p.child.kill('SIGKILL'), 15000)
  await p.ended
  clearTimeout(timer)
}

/** Runs a command to its end and throws with what it said if it fails. */
export async function run (command, args, options) {
  const p = start(command, args, options)
  const code = await p.ended
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: exit code ${code}\n${p.log}`)
}

/** Rejects after ms unless promise is settled before. */
export async function within (ms, what, promise) {
  let timer
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
