// Package mpegts writes HLS media segments as MPEG-2 transport streams
// (ISO/IEC 13818-1, called 13818-1 below; RFC 8216 section 3.2). It is pure: the
// same samples, Config and sequence number give the same bytes on any machine.
//
// # Continuity counters without state
//
// A segment is rendered alone, perhaps never, and yet the continuity counter of
// each PID has to run on from one segment into the next (13818-1 2.4.3.3). Two
// rules make that so without anything being carried along:
//
//   - PAT and PMT are one packet each in each segment, so their counter is the
//     segment's sequence number modulo 16.
//   - Every other PID has a multiple of 16 packets with payload in each segment
//     (a track without samples has 0), so its counter begins at 0 in each one.
//     To get there the longest PES packet of a PID is spread over up to 15
//     packets more than it needs, which are filled up with stuffing in the
//     adaptation field. Packets without payload do not count, so they cannot
//     serve for this; they repeat the counter of the packet before. What is
//     longest a first run over the samples finds, which only measures.
//
// That costs 1.4 KB a PID and segment on average, and no null packets.
//
// # The clock
//
// Time 0 of the stream is Offset in PTS and DTS, and half of that in the PCR: data
// arrives 0.7 s before it is decoded, which leaves room for samples that are
// up to that much behind the others, and for composition times below 0. All
// three wrap at 2^33 ticks (26.5 hours). A PCR comes with each video frame, or
// with each PES packet of audio where there is no video, and in packets of its
// own where these are more than 90 ms apart. The first PCR of a segment is its
// start and the last lies less than 90 ms before its end, so that they are
// never 100 ms apart over the joint of two segments either (2.7.2).
//
// Presentation times are exact. Decode times are those of the samples, but a
// transport stream has none that are equal or after the presentation: the later
// of two equal ones is put off by a tick, and where an encoder sends composition
// times below 0 all decode times of that segment are put back by as much.
//
// # What is written
//
//   - H.264: each access unit begins with one access unit delimiter, and each
//     that is a key frame has SPS and PPS in front of its slices.
//   - AAC: an ADTS header in front of each frame.
//   - MP3, AC-3 and E-AC-3: as they come.
//
// Supports says what else there is, and why not here. Two or more audio frames
// share a PES packet as long as their times are those of their sample count.
//
// A frame that cannot be written is left out: video without a slice, audio
// without a byte or longer than its framing can say. Of a video frame that is cut
// short the NAL units in front of the cut are written.
//
// # Timed metadata
//
// ID3 tags have a PES packet each, in private_stream_1 with a PTS, on a PID of
// their own. It is in the PMT of those segments only that are Timed. To list it
// always would cost no byte, the packet of the PMT has room for it, but readers
// take notice of a stream: FFmpeg warns of one that never begins, and refuses to
// copy it into containers that have nothing like it. The price is that the PMT
// changes where a stream's first tag comes, and the caller's: a playlist needs
// EXT-X-DISCONTINUITY in front of a segment that is Timed where the one before is
// not (rfc8216bis 4.4.4.3), so that it is best never to go back.
//
// A Timed segment without tags is as long as one that is not. Tags cost what they
// are long, and their PID is rounded up to 16 packets, 3 KB, as above.
package mpegts
