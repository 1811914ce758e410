// Small things that several pages are made of.
import type { ComponentChildren, JSX } from 'preact'
import { useId, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import encodeQR from 'qr'
import type { Stream } from '../api'

const STATES: Record<string, [symbol: string, word: string]> = {
  live: ['●', 'live'], reconnecting: ['◐', 'reconnecting'], ended: ['■', 'ended'],
  connected: ['●', 'connected'], running: ['●', 'running']
}

/** A state as word, sign and colour. */
export function State ({ of }: { of: Stream['state'] | string }): JSX.Element {
  const [symbol, word] = STATES[of] ?? ['○', of]
  return <span class={`state state-${of}`}><span aria-hidden='true'>{symbol}</span> {word}</span>
}

/** A heading, what belongs to it, and a landmark around both. */
export function Section ({ title, children, aside, class: name }: { title: string, children: ComponentChildren, aside?: ComponentChildren, class?: string }): JSX.Element {
  const id = useId()
  return (
    <section aria-labelledby={id} class={`card ${name ?? ''}`}>
      <div class='card-head'><h2 id={id}>{title}</h2>{aside}</div>
      {children}
    </section>
  )
}

/** Names and values. */
export function Facts ({ of }: { of: Array<[name: string, value: ComponentChildren]> }): JSX.Element {
  return <dl class='facts'>{of.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
}

export function Trouble ({ text }: { text: string }): JSX.Element | null {
  return text === '' ? null : <p class='trouble' role='alert'>{text}</p>
}

async function copyText (text: string, field: HTMLElement | null): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch { // over plain HTTP there is no clipboard: select it, and try the old way
    const range = document.createRange()
    if (field === null) return false
    range.selectNodeContents(field)
    getSelection()?.removeAllRanges()
    getSelection()?.addRange(range)
    return document.execCommand('copy')
  }
}

/** A text to be typed somewhere else, and a button that copies it. */
export function Copy ({ name, text, note }: { name: string, text: string, note?: ComponentChildren }): JSX.Element {
  const [said, setSaid] = useState('')
  const field = useRef<HTMLElement>(null)
  const copy = async (): Promise<void> => {
    setSaid(await copyText(text, field.current) ? 'Copied' : 'Selected: press Ctrl+C')
    setTimeout(() => { setSaid('') }, 2500)
  }
  return (
    <div class='copy'>
      <span class='copy-name'>{name}</span>
      <span class='copy-row'>
        <code ref={field}>{text}</code>
        <button type='button' class='small' onClick={() => { void copy() }} aria-label={`${said === '' ? 'Copy' : said}: ${name}`}>{said === '' ? 'Copy' : said}</button>
      </span>
      {note !== undefined && <span class='note'>{note}</span>}
      <span class='unseen' role='status'>{said === '' ? '' : `${name}: ${said}`}</span>
    </div>
  )
}

/** A QR code, drawn as one path. */
export function QR ({ text, label }: { text: string, label: string }): JSX.Element {
  const { size, path } = useMemo(() => {
    const rows = encodeQR(text, 'raw', { ecc: 'medium', border: 3 })
    return { size: rows.length, path: rows.flatMap((row, y) => row.map((dark, x) => dark ? `M${x} ${y}h1v1h-1z` : '')).join('') }
  }, [text])
  return (
    <svg class='qr' viewBox={`0 0 ${size} ${size}`} role='img' aria-label={label} shape-rendering='crispEdges'>
      <rect width={size} height={size} fill='#fff' /><path d={path} fill='#000' />
    </svg>
  )
}

interface Question { title: string, text: string, yes: string, then: () => Promise<void> }

/** Asks before something is done that cannot be undone. The dialog is the browser's: it keeps the focus and knows Escape. */
export function Confirm ({ question, close }: { question: Question, close: () => void }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null)
  const [error, setError] = useState('')
  const [busy, setBusy] = useState(false)
  const id = useId()
  useLayoutEffect(() => { dialog.current?.showModal() }, [])
  const yes = async (): Promise<void> => {
    setBusy(true)
    try {
      await question.then()
      dialog.current?.close()
      document.getElementById('main')?.focus({ preventScroll: true }) // what was asked from is about to go
    } catch (failure) {
      setError(failure instanceof Error ? failure.message : String(failure))
      setBusy(false)
    }
  }
  return (
    <dialog ref={dialog} onClose={close} aria-labelledby={id}>
      <h2 id={id}>{question.title}</h2>
      <p>{question.text}</p>
      <Trouble text={error} />
      <div class='buttons'>
        <button type='button' onClick={() => dialog.current?.close()}>Cancel</button>
        <button type='button' class='danger' disabled={busy} onClick={() => { void yes() }}>{question.yes}</button>
      </div>
    </dialog>
  )
}

/** A button whose click asks first. */
export function Danger ({ label, name, question }: { label: string, name?: string, question: Question }): JSX.Element {
  const [asking, setAsking] = useState(false)
  return (
    <>
      <button type='button' class='danger small' aria-label={name} onClick={() => { setAsking(true) }}>{label}</button>
      {asking && <Confirm question={question} close={() => { setAsking(false) }} />}
    </>
  )
}

/** A choice of one among a few, as radio buttons. */
export function Choice<T extends string> ({ name, of, value, set }: { name: string, of: Array<[T, string]>, value: T, set: (v: T) => void }): JSX.Element {
  const group = useId()
  return (
    <fieldset class='choice'>
      <legend class='unseen'>{name}</legend>
      {of.map(([v, label]) => (
        <label key={v} class={v === value ? 'chosen' : ''}>
          <input type='radio' name={group} value={v} checked={v === value} onChange={() => { set(v) }} />{label}
        </label>
      ))}
    </fieldset>
  )
}
