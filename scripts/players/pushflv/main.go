// Command pushflv publishes an FLV file over RTMP in real time, over and over,
// with times that go on: also of codecs that the system's ffmpeg cannot send.
//
//	pushflv [-early 600ms] [-start MS] HOST:PORT APP/NAME FILE PICTURES SOUND
//
// PICTURES and SOUND are the rates of frames, 15/1 and 48000/1024, or 0. Sound is sent
// earlier than its time by -early; the first timestamp is -start.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"headwater/scripts/conformance"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pushflv:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("pushflv", flag.ContinueOnError)
	early := flags.Duration("early", 0, "how much earlier than its time sound is sent")
	begin := flags.Int64("start", 0, "the first timestamp, ms")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if args = flags.Args(); len(args) != 5 {
		return errors.New("want HOST:PORT APP/NAME FILE PICTURES SOUND")
	}
	app, name, _ := strings.Cut(args[1], "/")
	video, err := rate(args[3])
	if err != nil {
		return err
	}
	audio, err := rate(args[4])
	if err != nil {
		return err
	}
	b, err := os.ReadFile(args[2])
	if err != nil {
		return err
	}
	clip, err := conformance.NewClip(b, video, audio)
	if err != nil {
		return fmt.Errorf("read %s: %w", args[2], err)
	}
	p, err := conformance.Publish(ctx, args[0], app, name, 4096)
	if err != nil {
		return err
	}
	push := &conformance.Push{Publisher: p, Feed: &conformance.Feed{Clip: clip, AudioEarly: *early, Start: *begin}, Speed: 1}
	return push.Until(ctx, math.MaxInt64)
}

// rate reads "48000/1024"; "0" is that of a track that is not there.
func rate(s string) (conformance.Rational, error) {
	if s == "0" {
		return conformance.Rational{}, nil
	}
	num, den, _ := strings.Cut(s, "/")
	n, err := strconv.ParseInt(num, 10, 64)
	if err != nil {
		return conformance.Rational{}, fmt.Errorf("rate %q: %w", s, err)
	}
	d, err := strconv.ParseInt(den, 10, 64)
	if err != nil || n <= 0 || d <= 0 {
		return conformance.Rational{}, fmt.Errorf("rate %q is no fraction", s)
	}
	return conformance.Rational{Num: n, Den: d}, nil
}
