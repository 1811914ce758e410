// What the page knows of the server: asked again and again while it is looked at, and
// at once when the server tells of a change.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { changes, Failure, get, type Change } from './api'

const CHANGE = 'headwater:change'

export interface Polled<T> { data: T | null, error: string, again: () => void }

/** Asks for path every few ms, and when something has changed. A path of '' asks for nothing. */
export function usePolled<T> (path: string, every: number): Polled<T> {
  const [data, setData] = useState<T | null>(null)
  const [error, setError] = useState('')
  const again = useRef<() => void>(() => {})
  useEffect(() => {
    setData(null)
    if (path === '') return
    const end = new AbortController()
    let timer = 0
    let asking = false
    const ask = async (): Promise<void> => {
      clearTimeout(timer)
      if (asking || end.signal.aborted) return
      if (!document.hidden) {
        asking = true
        try {
          setData(await get<T>(path, end.signal))
          setError('')
        } catch (failure) {
          if (end.signal.aborted) return
          setError(failure instanceof Failure ? failure.message : 'The server does not answer.')
        } finally {
          asking = false
        }
      }
      timer = window.setTimeout(() => { void ask() }, every)
    }
    const now = (): void => { void ask() }
    again.current = now
    now()
    document.addEventListener('visibilitychange', now)
    window.addEventListener(CHANGE, now)
    return () => {
      end.abort()
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', now)
      window.removeEventListener(CHANGE, now)
    }
  }, [path, every])
  return { data, error, again: useCallback(() => { again.current() }, []) }
}

const KEPT = 20

/** The newest changes, newest first, and whether the server tells of them at the moment. */
export function useChanges (): { all: Change[], told: boolean } {
  const [all, setAll] = useState<Change[]>([])
  const [told, setTold] = useState(false)
  useEffect(() => {
    const end = new AbortController()
    const hear = (c: Change): void => {
      setAll(before => [c, ...before].slice(0, KEPT))
      window.dispatchEvent(new Event(CHANGE))
    }
    void (async () => {
      while (!end.signal.aborted) {
        await changes(hear, () => { setTold(true) }, end.signal).catch(() => {})
        setTold(false)
        await new Promise(resolve => setTimeout(resolve, 3000))
      }
    })()
    return () => { end.abort() }
  }, [])
  return { all, told }
}

const WORDS: Record<string, string> = {
  stream_begun: 'began', stream_ended: 'ended', publisher_came: 'has a publisher', publisher_left: 'lost its publisher'
}
export const inWords = (c: Change): string => `${c.stream} ${WORDS[c.kind] ?? c.kind}`

/** Where in the page somebody is: the part behind '#/'. */
export function useRoute (): string {
  const read = (): string => location.hash.replace(/^#\/?/, '') // names need no escaping
  const [route, setRoute] = useState(read)
  useEffect(() => {
    const moved = (): void => { setRoute(read()) }
    window.addEventListener('hashchange', moved)
    return () => { window.removeEventListener('hashchange', moved) }
  }, [])
  return route
}
