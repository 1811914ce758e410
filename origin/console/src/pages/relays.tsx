// Streams on their way to and from other servers.
import type { JSX } from 'preact'
import type { Relay } from '../api'
import { bytes, clock, count, length } from '../format'
import { usePolled } from '../live'
import { Section, State, Trouble } from '../parts/small'

export function RelaysPage (): JSX.Element {
  const { data, error } = usePolled<{ relays: Relay[] }>('relays', 3000)
  return (
    <Section title='Relays'>
      <Trouble text={error} />
      {data?.relays.length === 0 && <p class='empty'>Nothing is relayed. <code>relay.push</code> and <code>relay.pull</code> of the configuration say what should be.</p>}
      {data !== null && data.relays.length > 0 && (
        <table class='cards'>
          <thead>
            <tr>
              <th scope='col'>Stream</th><th scope='col'>Direction</th><th scope='col'>Other side</th><th scope='col'>State</th>
              <th scope='col'>Sent or fetched</th><th scope='col'>Skips</th><th scope='col'>Last error</th>
            </tr>
          </thead>
          <tbody>
            {data.relays.map(r => (
              <tr key={`${r.kind} ${r.stream} ${r.target}`}>
                <th scope='row'><a href={`#/streams/${r.stream}`}>{r.stream}</a></th>
                <td data-label='Direction'>{r.kind}</td>
                <td data-label='Other side' class='long'>{r.target}</td>
                <td data-label='State'><State of={r.state} /><span class='sub'>{length((Date.now() - Date.parse(r.since)) / 1000)}, try {count(r.tries)}</span></td>
                <td data-label='Sent or fetched'>{bytes(r.bytes)}</td>
                <td data-label='Skips'>{count(r.skips)}</td>
                <td data-label='Last error' class='long'>{r.error === '' ? 'none' : r.error}{r.error_at !== null && <span class='sub'>{clock(r.error_at)}</span>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Section>
  )
}
