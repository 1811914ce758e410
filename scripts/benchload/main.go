//go:build linux

// Command benchload measures what Headwater costs on this machine, beside what the
// kernel alone charges for the same traffic. scripts/bench builds and runs it.
//
// It loads a server that runs in a process of its own, so that the server's
// share is read from its CPU clock and nothing of the load is in it:
//
//   - publishers: one FLV file is cut into RTMP chunks once and replayed in
//     real time over many connections, each write the same shared bytes;
//   - viewers: one epoll loop reads many HTTP-FLV bodies with MSG_TRUNC, which
//     drops the bytes inside the kernel.
//
// The floors are the least that any server could do: one thread and epoll that
// reads what publishers send and forgets it (floor-ingest), and one that writes
// the same bytes to every viewer at a steady pace (floor-fanout).
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"
)

// plan is what to measure and for how long.
type plan struct {
	server     string        // path of the binary
	file       string        // FLV to replay
	thin       string        // one of a low bit rate; "": very many viewers are not measured
	publishers int           // of the ingest measurement
	viewers    int           // of the fan-out measurement
	warm       time.Duration // before the ingest measurement, so that windows are full
	measure    time.Duration
	floor      time.Duration // how long the floors are measured
	gather     time.Duration // of the fan-out and its floor
	players    int           // low-latency, of the HLS measurement
	only       string        // parts to measure, with commas between; "": the usual ones
	matrix     bool          // also measure many numbers of viewers and gathering times
}

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "floor-ingest":
			exit(floorIngest())
		case "hammer":
			exit(hammerOnce(os.Args[2:]))
		case "bare-http":
			exit(bareHTTP(os.Args[2:]))
		case "floor-fanout":
			exit(floorFanout(os.Args[2:]))
		}
	}
	var p plan
	flag.StringVar(&p.server, "server", "", "path of the headwater binary")
	flag.StringVar(&p.file, "file", "", "FLV file to publish, longer than a measurement")
	flag.StringVar(&p.thin, "thin", "", "FLV file of a low bit rate, for 10000 viewers")
	flag.IntVar(&p.publishers, "publishers", 200, "publishers with nobody watching")
	flag.IntVar(&p.viewers, "viewers", 1000, "HTTP-FLV viewers of one stream")
	flag.DurationVar(&p.warm, "warm", 20*time.Second, "time before memory and CPU of ingest are taken")
	flag.DurationVar(&p.measure, "measure", 8*time.Second, "time that is measured")
	flag.DurationVar(&p.floor, "floor", 4*time.Second, "time the floors are measured")
	flag.DurationVar(&p.gather, "gather", 100*time.Millisecond, "how long server and fan-out floor gather before they write")
	flag.BoolVar(&p.matrix, "matrix", false, "also measure 1 to 500 publishers, and 1 to 10000 viewers at 0, 33, 100 and 350 ms")
	flag.IntVar(&p.players, "players", 1000, "low-latency HLS players")
	flag.StringVar(&p.only, "only", "", "measure these alone: hls, blocked, dead, ingest, unwatched, fanout, rtmpplay, publishers, matrix, many")
	out := flag.String("json", "", "also write the results to this file")
	charts := flag.String("charts", "", "also write the results as SVG files to this folder")
	flag.Parse()
	if p.server == "" || p.file == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	exit(run(p, *out, *charts))
}

func run(p plan, out, charts string) error {
	raiseDescriptors()
	r, err := measureAll(p)
	if err != nil {
		return err
	}
	r.print(os.Stdout)
	if charts != "" {
		if err := r.writeCharts(charts); err != nil {
			return err
		}
	}
	if out == "" {
		return nil
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(out, append(b, '\n'), 0o644)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchload:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
