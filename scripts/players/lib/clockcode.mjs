// The clock in a picture: a row of black and white blocks along its upper edge,
// 32 bits of milliseconds and 8 that check them. Used on both sides.
export const BLOCK = 16 // pixels, as much as a macroblock
export const BITS = 40
export const WIDTH = BITS * BLOCK

/** The code of a time in ms: a whole number below 2^40. */
export const encode = ms => ms * 256 + sum(ms)

/** The time of a code, or null if it was not read well. */
export function check (code) {
  const ms = Math.floor(code / 256)
  return sum(ms) === code % 256 ? ms : null
}

/** CRC-8 (polynomial 0x07) of the four bytes, not 0 for 0: a black row is no clock. */
function sum (ms) {
  let crc = 0xff
  for (const byte of [ms >>> 24, ms >>> 16, ms >>> 8, ms]) {
    crc ^= byte & 0xff
    for (let i = 0; i < 8; i++) crc = (crc << 1 ^ (crc & 0x80 ? 0x07 : 0)) & 0xff
  }
  return crc
}
