// What can be changed while the server runs: publish keys, and the configuration read again.
import type { JSX } from 'preact'
import { useId, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { Failure, remove, send } from '../api'
import { clock } from '../format'
import { usePolled } from '../live'
import { Copy, Danger, Section, Trouble } from '../parts/small'

interface Key { id: string, name: string, created: string }
interface NewKey extends Key { secret: string }
interface Reloaded { changed: string[], restart: string[] }

const inWords = (failure: unknown): string => failure instanceof Failure ? failure.message : 'The server does not answer.'

/** Shows a secret, once: the server keeps no more of it than it needs to know it again. */
function Secret ({ of: key, close }: { of: NewKey, close: () => void }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null)
  const id = useId()
  useLayoutEffect(() => { dialog.current?.showModal() }, [])
  const [app, name] = key.name.split('/')
  const stream = name === undefined || name.includes('*') ? 'NAME' : name
  return (
    <dialog ref={dialog} onClose={close} aria-labelledby={id}>
      <h2 id={id}>Key {key.id}</h2>
      <p>This is shown once. Copy it now: nobody can find it out later.</p>
      <Copy name='Secret' text={key.secret} />
      <Copy name='Stream Key' text={`${stream}?key=${key.secret}`} note={stream === 'NAME' ? <>Put a name in place of NAME{app === undefined || app.includes('*') ? '' : <>; the application is <code>{app}</code></>}.</> : undefined} />
      <div class='buttons'><button type='button' class='primary' onClick={() => dialog.current?.close()}>I have it</button></div>
    </dialog>
  )
}

function Make ({ made }: { made: () => void }): JSX.Element {
  const [name, setName] = useState('live/*')
  const [id, setId] = useState('')
  const [error, setError] = useState('')
  const [busy, setBusy] = useState(false)
  const [secret, setSecret] = useState<NewKey | null>(null)
  const field = useId()
  const make = async (): Promise<void> => {
    setBusy(true)
    setError('')
    try {
      setSecret(await send<NewKey>('keys', { id: id === '' ? undefined : id, name }))
      setId('')
      made()
    } catch (failure) {
      setError(inWords(failure))
    }
    setBusy(false)
  }
  return (
    <>
      <form onSubmit={e => { e.preventDefault(); void make() }} aria-label='Make a key'>
        <Trouble text={error} />
        <div class='fields'>
          <div>
            <label for={`${field}name`}>For the streams</label>
            <input id={`${field}name`} value={name} required autocomplete='off' autocapitalize='off' spellcheck={false} onInput={e => { setName(e.currentTarget.value.trim()) }} aria-describedby={`${field}how`} />
          </div>
          <div>
            <label for={`${field}id`}>Called (optional)</label>
            <input id={`${field}id`} value={id} autocomplete='off' autocapitalize='off' spellcheck={false} maxLength={64} onInput={e => { setId(e.currentTarget.value.trim()) }} />
          </div>
        </div>
        <p class='note' id={`${field}how`}>APP/NAME; <code>live/*</code> is every name of an application. What it is called is in logs and in the API, and no secret.</p>
        <button type='submit' class='primary' aria-disabled={busy}>Make a key</button>
      </form>
      {secret !== null && <Secret of={secret} close={() => { setSecret(null) }} />}
    </>
  )
}

function Keys (): JSX.Element {
  const { data, error, again } = usePolled<{ keys: Key[] }>('keys', 15_000)
  const keys = data?.keys ?? []
  return (
    <Section title='Publish keys'>
      <Trouble text={error} />
      <div>
        {data !== null && keys.length === 0 && <p class='empty'>None was made here. Those of the configuration are not listed.</p>}
        {keys.length > 0 && (
          <table class='cards'>
            <thead><tr><th scope='col'>Key</th><th scope='col'>Streams</th><th scope='col'>Made</th><th scope='col'><span class='unseen'>What can be done</span></th></tr></thead>
            <tbody>
              {keys.map(k => (
                <tr key={k.id}>
                  <th scope='row'>{k.id}</th>
                  <td data-label='Streams'><code>{k.name}</code></td>
                  <td data-label='Made'><time dateTime={k.created}>{new Date(k.created).toLocaleDateString()}<span class='sub'>{clock(k.created)}</span></time></td>
                  <td data-label=''>
                    <Danger
                      label='Revoke' name={`Revoke key ${k.id}`} question={{
                        title: `Revoke key ${k.id}?`, text: 'Nobody can begin to publish with it any more. Who publishes now goes on until they leave.',
                        yes: 'Revoke key', then: async () => { await remove(`keys/${encodeURIComponent(k.id)}`); again() }
                      }}
                    />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </div>
      <h3>Make a key</h3>
      <Make made={again} />
    </Section>
  )
}

function Configuration (): JSX.Element {
  const [done, setDone] = useState<Reloaded | null>(null)
  const [error, setError] = useState('')
  const [busy, setBusy] = useState(false)
  const reload = async (): Promise<void> => {
    if (busy) return
    setBusy(true)
    setDone(null)
    setError('')
    try {
      setDone(await send<Reloaded>('reload'))
    } catch (failure) {
      setError(inWords(failure))
    }
    setBusy(false)
  }
  const keys = (of: string[]): JSX.Element[] => of.map((k, i) => <span key={k}>{i > 0 && ', '}<code>{k}</code></span>)
  return (
    <Section title='Configuration'>
      <p>Keys, callbacks, limits, relays and certificates change while streams go on. A bad file changes nothing.</p>
      <button type='button' aria-disabled={busy} onClick={() => { void reload() }}>Read it again</button>
      <Trouble text={error === '' ? '' : `Nothing has changed: ${error}`} />
      <div role='status'>
        {done !== null && done.changed.length === 0 && done.restart.length === 0 && <p>Read. Nothing is different.</p>}
        {done !== null && done.changed.length > 0 && <p>Changed: {keys(done.changed)}.</p>}
        {done !== null && done.restart.length > 0 && <p class='warning'>Needs a restart: {keys(done.restart)}.</p>}
      </div>
    </Section>
  )
}

export const ManagePage = (): JSX.Element => <div class='columns'><div class='column'><Keys /></div><div class='column'><Configuration /></div></div>
