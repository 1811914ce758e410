// A line over time, drawn by hand: the last hour, with its values at the pointer.
import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { clock } from '../format'

export interface Point { t: number, v: number | null }
export interface Line { name: string, points: Point[], show: (v: number) => string, whole?: boolean }

const HEIGHT = 118
const LEFT = 8
const RIGHT = 8
const TOP = 10
const BOTTOM = 20
const SHORTEST = 120_000 // ms that a chart shows at least
const HOUR = 3_600_000

/** A round number not below n. */
function ceiling (n: number, whole: boolean): number {
  if (n <= 0) return 1
  const power = 10 ** Math.floor(Math.log10(n))
  const top = [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map(f => f * power).find(t => t >= n) ?? 10 * power
  return whole ? Math.max(1, Math.ceil(top)) : top
}

function useWidth (): [(e: HTMLElement | null) => void, number] {
  const [width, setWidth] = useState(320)
  const watched = useRef<ResizeObserver | null>(null)
  const [measure] = useState(() => (e: HTMLElement | null): void => {
    watched.current?.disconnect()
    if (e === null) return
    watched.current = new ResizeObserver(([entry]) => { if (entry !== undefined) setWidth(Math.max(200, Math.floor(entry.contentRect.width))) })
    watched.current.observe(e)
  })
  useEffect(() => () => { watched.current?.disconnect() }, [])
  return [measure, width]
}

export function Chart ({ line, now }: { line: Line, now: number }): JSX.Element {
  const [measure, width] = useWidth()
  const [cursor, setCursor] = useState<number | null>(null)
  const points = line.points.filter(p => p.t >= now - HOUR)
  const known = points.filter((p): p is { t: number, v: number } => p.v !== null)
  const end = now
  const begin = Math.min(points[0]?.t ?? end, end - SHORTEST)
  const highest = Math.max(0, ...known.map(p => p.v))
  const top = ceiling(highest * 1.1, line.whole ?? false) // a little room above
  const x = (t: number): number => LEFT + (t - begin) / (end - begin) * (width - LEFT - RIGHT)
  const y = (v: number): number => TOP + (1 - v / top) * (HEIGHT - TOP - BOTTOM)
  const shown = cursor === null ? known.at(-1) : known[Math.min(cursor, known.length - 1)]

  const nearest = (clientX: number, svg: SVGElement): void => {
    const t = begin + (clientX - svg.getBoundingClientRect().left - LEFT) / (width - LEFT - RIGHT) * (end - begin)
    let best: number | null = null
    known.forEach((p, i) => { if (best === null || Math.abs(p.t - t) < Math.abs(known[best]!.t - t)) best = i })
    setCursor(best)
  }
  const key = (e: KeyboardEvent): void => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -known.length, End: known.length }[e.key]
    if (e.key === 'Escape') setCursor(null)
    if (step === undefined || known.length === 0) return
    e.preventDefault()
    setCursor(Math.max(0, Math.min(known.length - 1, (cursor ?? known.length - 1) + step)))
  }

  const runs: string[] = []
  let run = ''
  for (const p of points) {
    if (p.v === null) {
      if (run !== '') runs.push(run)
      run = ''
    } else run += `${run === '' ? 'M' : 'L'}${x(p.t).toFixed(1)} ${y(p.v).toFixed(1)}`
  }
  if (run !== '') runs.push(run)
  const values = known.map(p => p.v)
  const summary = known.length === 0
    ? `${line.name}: nothing yet`
    : `${line.name}: now ${line.show(values.at(-1)!)}; lowest ${line.show(Math.min(...values))}, highest ${line.show(Math.max(...values))}`
  const minutes = Math.round((end - begin) / 60_000)
  return (
    <figure class='chart'>
      <figcaption>
        <span class='chart-name'>{line.name}</span>
        <span class='chart-value'>{shown === undefined ? '–' : line.show(shown.v)}</span>
        {cursor !== null && shown !== undefined && <span class='note'> at {clock(shown.t)}</span>}
      </figcaption>
      <div ref={measure}>
        <svg
          width={width} height={HEIGHT} role='img' aria-label={summary} tabIndex={0} onKeyDown={key}
          onPointerMove={e => { nearest(e.clientX, e.currentTarget) }} onPointerLeave={() => { setCursor(null) }} onBlur={() => { setCursor(null) }}
        >
          {[0, 0.5, 1].map(f => <line key={f} class='grid' x1={LEFT} x2={width - RIGHT} y1={y(f * top)} y2={y(f * top)} />)}
          {runs.map((d, i) => {
            const first = d.slice(1, d.indexOf(' ')); const last = d.slice(d.lastIndexOf('L') + 1 || 1).split(' ')[0]
            return (
              <g key={i}>
                <path class='area' d={`${d}L${last} ${y(0)}L${first} ${y(0)}Z`} />
                <path class='line' d={d} />
              </g>
            )
          })}
          {shown !== undefined && <circle class='dot' cx={x(shown.t)} cy={y(shown.v)} r='3.5' />}
          {cursor !== null && shown !== undefined && <line class='cursor' x1={x(shown.t)} x2={x(shown.t)} y1={TOP} y2={y(0)} />}
          <text class='axis' x={LEFT + 2} y={TOP + 10}>{line.show(top)}</text>
          <text class='axis' x={LEFT} y={HEIGHT - 5}>{minutes >= 60 ? '1 h ago' : `${minutes} min ago`}</text>
          <text class='axis' x={width - RIGHT} y={HEIGHT - 5} text-anchor='end'>now</text>
        </svg>
      </div>
    </figure>
  )
}

/** The same for those who do not see charts: at most rows rows. */
export function Table ({ lines, rows = 12 }: { lines: Line[], rows?: number }): JSX.Element {
  const times = lines[0]?.points ?? []
  const step = Math.max(1, Math.ceil(times.length / rows))
  const chosen = times.map((_, i) => i).filter(i => (times.length - 1 - i) % step === 0).reverse()
  return (
    <details>
      <summary>The charts as a table</summary>
      <div class='scroll' tabIndex={0} role='region' aria-label='The charts as a table'>
        <table class='plain'>
          <thead><tr><th scope='col'>Time</th>{lines.map(l => <th scope='col' key={l.name}>{l.name}</th>)}</tr></thead>
          <tbody>
            {chosen.map(i => (
              <tr key={i}>
                <th scope='row'>{clock(times[i]!.t)}</th>
                {lines.map(l => { const v = l.points[i]?.v; return <td key={l.name}>{v === null || v === undefined ? '–' : l.show(v)}</td> })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  )
}
