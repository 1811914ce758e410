// Whether the machine has time for what is measured on it.
import { monitorEventLoopDelay } from 'node:perf_hooks'

const LATE = 100 // ms that a process with nothing to do is kept waiting for its turn

/** Watches how late this process is called; busy() says whether that was too late at any time since it began. */
export function watchMachine () {
  const delay = monitorEventLoopDelay({ resolution: 10 })
  delay.enable()
  return {
    /** The worst delay so far, ms. */
    worst: () => delay.max / 1e6,
    busy () {
      delay.disable()
      return delay.max / 1e6 > LATE
    }
  }
}
