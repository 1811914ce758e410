// Addresses of the public listeners, as they are reached from where this page is.
import type { Server } from './api'

export interface Hostport { host: string, port: string }

function split (address: string): Hostport {
  const at = address.lastIndexOf(':')
  return { host: address.slice(0, at).replace(/^\[|\]$/g, ''), port: address.slice(at + 1) }
}

const everywhere = (host: string): boolean => host === '' || host === '::' || host === '0.0.0.0'
const bracketed = (host: string): string => host.includes(':') && !host.startsWith('[') ? `[${host}]` : host

/** Whether a name means the machine that says it. */
export const isLocal = (host: string): boolean => /^(localhost|127\..*|\[?::1\]?)$/.test(host)

/** Where a listener is reached: at its own address, or if it listens on all, at the host of this page. */
export function reach (address: string): Hostport {
  const { host, port } = split(address)
  return { host: everywhere(host) ? location.hostname : bracketed(host), port }
}

const MEDIA = 'headwater.media'

/** The base of playback addresses. The user may know better: behind a proxy it is another. */
export function mediaBase (server: Server): string {
  return localStorage.getItem(MEDIA) ?? listenerBase(server)
}

export function listenerBase ({ listeners }: Server): string {
  const tls = listeners.https !== undefined && (location.protocol === 'https:' || listeners.http === undefined)
  const { host, port } = reach(tls ? listeners.https : listeners.http ?? ':8080')
  return `${tls ? 'https' : 'http'}://${bracketed(host)}:${port}`
}

export function setMediaBase (base: string): void {
  if (base === '') localStorage.removeItem(MEDIA)
  else localStorage.setItem(MEDIA, base.replace(/\/+$/, ''))
}

/** What an encoder connects to. */
export function publishBase (scheme: string, host: string, port: string): string {
  const usual = scheme === 'rtmps' ? '443' : '1935'
  return `${scheme}://${bracketed(host)}${port === usual ? '' : `:${port}`}`
}
