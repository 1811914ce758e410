// What to type into an encoder. No secret is ever shown here: the page does not know any.
import type { JSX } from 'preact'
import { useId, useState } from 'preact/hooks'
import { isLocal, publishBase, reach } from '../address'
import type { Server } from '../api'
import { Choice, Copy, QR, Section } from '../parts/small'

/** Characters that a name may have. */
const plain = (s: string): string => s.replace(/[^A-Za-z0-9._~-]/g, '')

export function PublishPage ({ server }: { server: Server | null }): JSX.Element {
  const [app, setApp] = useState('live')
  const [name, setName] = useState('demo')
  const [host, setHost] = useState('')
  const [scheme, setScheme] = useState<'rtmp' | 'rtmps'>('rtmp')
  const id = useId()
  if (server === null) return <p class='note'>Asking the server…</p>
  const listener = server.listeners[scheme] ?? server.listeners.rtmp ?? ':1935'
  const at = reach(listener)
  const used = host === '' ? at.host : host
  const base = `${publishBase(scheme, used, at.port)}/${app === '' ? 'live' : app}`
  const stream = name === '' ? 'demo' : name
  const local = isLocal(used)
  const key = local ? stream : `${stream}?key=SECRET`
  const input = (what: string, label: string, value: string, set: (v: string) => void, placeholder = ''): JSX.Element => (
    <div><label for={`${id}${what}`}>{label}</label><input id={`${id}${what}`} value={value} onInput={e => { set(e.currentTarget.value) }} autocomplete='off' autocapitalize='off' spellcheck={false} placeholder={placeholder} /></div>
  )
  return (
    <>
      <Section title='Which stream'>
        <div class='fields'>
          {input('app', 'Application', app, v => { setApp(plain(v)) })}
          {input('name', 'Name', name, v => { setName(plain(v)) })}
          {input('host', 'Server, as the encoder reaches it', host, v => { setHost(v.trim()) }, at.host)}
        </div>
        {server.listeners.rtmps !== undefined && <Choice name='How the encoder connects' of={[['rtmp', 'RTMP'], ['rtmps', 'RTMPS (encrypted)']]} value={scheme} set={setScheme} />}
      </Section>
      <div class='columns'>
        <div class='column'>
          <Section title='OBS'>
            <p>Settings → Stream, Service <em>Custom</em>:</p>
            <Copy name='Server' text={base} />
            <Copy
              name='Stream Key' text={key}
              note={local
                ? 'From this machine no key is needed, unless publish.key or another secret is set.'
                : <>Put the secret in place of SECRET: <code>publish.key</code> of the configuration, or the one made at the first start (<code>publish.key</code> in the data folder). A stream key of <code>publish.keys</code> stands alone.</>}
            />
            <p>Settings → Output, Output Mode <em>Advanced</em>, Streaming:</p>
            <ul>
              <li>Keyframe Interval <strong>2 s</strong>: viewers begin, and segments are cut, at key frames.</li>
              <li>Rate Control <strong>CBR</strong>, at most three quarters of your upload.</li>
              <li>Video encoder H.264; audio AAC, 48 kHz.</li>
            </ul>
          </Section>
        </div>
        <div class='column'>
          <Section title='A phone'>
            <div class='with-qr'>
              <div>
                <p>Scan this in an app that publishes RTMP, or type it in. The code holds the address and no secret.</p>
                <Copy name='URL' text={`${base}/${stream}`} />
                {local && <p class='warning'><span aria-hidden='true'>! </span>A phone does not reach {used}: enter the name or address that this machine has in your network.</p>}
              </div>
              <QR text={`${base}/${stream}`} label={`QR code of ${base}/${stream}`} />
            </div>
          </Section>
          <Section title='FFmpeg'>
            <Copy name='Command' text={`ffmpeg -re -i film.mp4 -c:v libx264 -preset veryfast -g 60 -c:a aac -f flv '${base}/${key}'`} />
            <p class='note'>-g is twice the frame rate, for a key frame every 2 s.</p>
          </Section>
        </div>
      </div>
    </>
  )
}
