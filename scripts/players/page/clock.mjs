// Reads the clock that lib/clock.mjs draws into the pictures.
import { BITS, BLOCK, check, WIDTH } from '/clockcode.mjs'

/**
 * Notes for each picture that is shown how long ago it was drawn: { at, age } in ms. Pictures whose clock cannot be read
 * have age null. epoch is the Date.now() that the clock counts from.
 */
export function readClock (video, ages, epoch) {
  const canvas = new OffscreenCanvas(WIDTH, 1)
  const context = canvas.getContext('2d', { willReadFrequently: true })
  const read = () => {
    // One line, out of the middle of the blocks.
    context.drawImage(video, 0, BLOCK / 2, WIDTH, 1, 0, 0, WIDTH, 1)
    const { data } = context.getImageData(0, 0, WIDTH, 1)
    let code = 0
    for (let i = 0; i < BITS; i++) code = code * 2 + (data[4 * (i * BLOCK + BLOCK / 2)] > 127 ? 1 : 0)
    return check(code)
  }
  const next = () => {
    const time = read()
    const now = Date.now()
    ages.push({ at: now - epoch, age: time === null ? null : now - epoch - time })
    video.requestVideoFrameCallback(next)
  }
  video.requestVideoFrameCallback(next)
}
