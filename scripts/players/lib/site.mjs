// The page's own web server: another port, so another origin than the streams.
import { createServer } from 'node:http'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

const FILES = {
  '/': ['page/index.html', 'text/html'],
  '/player.mjs': ['page/player.mjs', 'text/javascript'],
  '/kinds.mjs': ['page/kinds.mjs', 'text/javascript'],
  '/clock.mjs': ['page/clock.mjs', 'text/javascript'],
  '/clockcode.mjs': ['lib/clockcode.mjs', 'text/javascript'],
  '/hls.js': ['node_modules/hls.js/dist/hls.js', 'text/javascript'],
  '/mpegts.js': ['node_modules/mpegts.js/dist/mpegts.js', 'text/javascript'],
  '/shaka-player.js': ['node_modules/shaka-player/dist/shaka-player.compiled.js', 'text/javascript'],
  '/video.js': ['node_modules/video.js/dist/video.js', 'text/javascript']
}

/** Serves the page on a free port. */
export async function site () {
  const server = createServer(async (request, response) => {
    const found = FILES[new URL(request.url, 'http://x').pathname]
    if (!found) {
      response.writeHead(404).end()
      return
    }
    const body = await readFile(fileURLToPath(new URL(`../${found[0]}`, import.meta.url)))
    response.writeHead(200, { 'Content-Type': `${found[1]}; charset=utf-8` }).end(body)
  })
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    close: () => new Promise(resolve => { server.close(resolve); server.closeAllConnections() })
  }
}
