package probe

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"headwater/cmd/headwater/probe/playlist"
	"headwater/origin/checkup"
)

// How long one may watch.
const (
	Shortest = 2 * time.Second
	Longest  = time.Hour
)

// Kinds of URL.
const (
	KindHLS = "hls"
	KindFLV = "flv"
	KindTS  = "ts"
)

// Run watches rawURL for a while, longer by no more than the first answer takes, and
// returns what it saw. It ends early when ctx does. A URL that cannot be asked for is
// an error; whatever comes of asking is in the report.
func Run(ctx context.Context, rawURL string, watch time.Duration) (*Report, error) {
	u, err := ParseURL(rawURL)
	if err != nil {
		return nil, err
	}
	p := &probe{client: newClient(), url: u, watch: watch, report: &Report{URL: u.Redacted(), Began: time.Now().UTC(), Findings: []checkup.Finding{}}}
	defer p.client.http.CloseIdleConnections()
	p.run(ctx)
	p.finish()
	return p.report, nil
}

// ParseURL checks that a URL is one that can be probed.
func ParseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("read URL: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || len(s) > maxURL {
		return nil, fmt.Errorf("read URL: %q is not http://HOST/… or https://HOST/…", s)
	}
	return u, nil
}

// probe is one run.
type probe struct {
	client *client
	url    *url.URL
	watch  time.Duration
	report *Report
	found  findings
}

// run finds out what is there, by its first bytes, and watches it.
func (p *probe) run(ctx context.Context) {
	first, cancel := context.WithTimeout(ctx, p.watch+firstTimeout)
	defer cancel()
	hurry := time.AfterFunc(firstTimeout, cancel)
	k := multivariant
	if path := strings.ToLower(p.url.Path); strings.HasSuffix(path, ".flv") || strings.HasSuffix(path, ".ts") {
		k = endless
	}
	a, err := p.client.get(first, k, p.url, "", 1<<62)
	if err != nil {
		p.unreachable(err)
		return
	}
	defer a.close()
	if a.status != http.StatusOK {
		p.refused(a)
		return
	}
	r := bufio.NewReaderSize(a.body, 64<<10)
	head, err := r.Peek(7)
	hurry.Stop()
	if err != nil && len(head) == 0 {
		p.unreachable(fmt.Errorf("read the first bytes: %w", err))
		return
	}
	p.report.Reachable = true
	p.report.FirstByte = Seconds(a.first)
	switch {
	case bytes.HasPrefix(head, []byte("FLV")):
		p.report.Kind = KindFLV
		p.watchEndless(first, a, r, true)
	case bytes.HasPrefix(head, []byte("#EXTM3U")) || bytes.HasPrefix(head, []byte("\xef\xbb\xbf#EXT")):
		p.report.Kind = KindHLS
		text, err := io.ReadAll(io.LimitReader(r, maxPlaylist+1))
		if err == nil && len(text) > maxPlaylist {
			err = errTooLarge
		}
		if err != nil {
			p.unreachable(fmt.Errorf("read playlist: %w", err))
			return
		}
		a.close()
		limited, cancel := context.WithTimeout(ctx, p.watch)
		defer cancel()
		p.watchHLS(limited, a.url, string(text))
	case head[0] == 0x47:
		p.report.Kind = KindTS
		p.watchEndless(first, a, r, false)
	default:
		p.found.add("unknown", checkup.Problem, "What answers is neither an HLS playlist nor FLV nor MPEG-TS.", "Give the address that a player gets.")
	}
}

func (p *probe) unreachable(err error) {
	text := fmt.Sprintf("It cannot be watched: %v.", plain(err))
	p.found.add("unreachable", checkup.Problem, text, "Check host, port and firewall, and that the server runs.")
}

// plain takes the request out of an error, which the report names already.
func plain(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %s", firstTimeout)
	}
	return err
}

func (p *probe) refused(a *answer) {
	var note string
	text, _ := io.ReadAll(io.LimitReader(a.body, 200))
	if s := strings.TrimSpace(string(text)); s != "" && !strings.ContainsAny(s, "<\x00") {
		note = fmt.Sprintf(", %q", s)
	}
	advice := "Check the address, and that somebody publishes under this name."
	switch a.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		advice = "It is protected: give the address with its token."
	case http.StatusServiceUnavailable:
		advice = "The server is overloaded, or the publisher is away; its log says which."
	}
	p.found.add("refused", checkup.Problem, fmt.Sprintf("The server answers %d %s%s.", a.status, http.StatusText(a.status), note), advice)
}

// finish puts the report together.
func (p *probe) finish() {
	r := p.report
	r.Watched = Seconds(time.Since(r.Began))
	r.Requests, r.Bytes = p.client.totals()
	r.Findings = append(r.Findings, p.found.all...)
	checkup.Sort(r.Findings)
	r.Result = checkup.Worst(r.Findings)
}

// watchHLS watches what players would take: the first variant, and the sound that
// belongs to it.
func (p *probe) watchHLS(ctx context.Context, base *url.URL, text string) {
	l, err := playlist.Parse(text)
	if err != nil {
		p.unreachable(err)
		return
	}
	h := &HLS{}
	p.report.HLS = h
	if !l.IsMultivariant() {
		p.client.delivery.rename(multivariant, mediaList)
		p.watchLists(ctx, []*watcher{newWatcher(p.client, base, "")})
		return
	}
	p.listFaults(l)
	h.Variants = len(l.Variants)
	watchers := p.choose(base, l)
	if len(watchers) == 0 {
		return
	}
	p.otherVariants(ctx, base, l)
	p.watchLists(ctx, watchers)
}

func (p *probe) listFaults(l *playlist.Playlist) {
	for _, fault := range l.Faults {
		p.found.add("playlist.syntax", checkup.Warning, "The multivariant playlist is not as it must be: "+fault+".", "See rfc8216bis, section 4.")
	}
	for _, v := range l.Variants {
		if v.Codecs == "" {
			p.found.add("playlist.codecs", checkup.Warning, "A variant names no CODECS: players cannot tell whether they can play it before they have fetched some.", "Add CODECS to each EXT-X-STREAM-INF.")
		}
	}
}

// choose returns watchers for the first variant and its rendition of sound.
func (p *probe) choose(base *url.URL, l *playlist.Playlist) []*watcher {
	v := l.Variants[0]
	u, err := resolve(base, v.URI)
	if err != nil {
		p.found.add("playlist.uri", checkup.Problem, fmt.Sprintf("The first variant has %v.", err), "")
		return nil
	}
	watchers := []*watcher{newWatcher(p.client, u, "")}
	var chosen *playlist.Rendition
	for _, one := range l.Renditions {
		if v.Audio != "" && one.Group == v.Audio && one.URI != "" && (chosen == nil || one.Default && !chosen.Default) {
			chosen = &one
		}
	}
	if chosen == nil {
		return watchers
	}
	if u, err = resolve(base, chosen.URI); err != nil {
		p.found.add("playlist.uri", checkup.Problem, fmt.Sprintf("A rendition of sound has %v.", err), "")
		return watchers
	}
	return append(watchers, newWatcher(p.client, u, "sound: "))
}

// maxOthers bounds the variants that are asked for once, besides the one watched.
const maxOthers = 8

func (p *probe) otherVariants(ctx context.Context, base *url.URL, l *playlist.Playlist) {
	for _, v := range l.Variants[1:min(len(l.Variants), 1+maxOthers)] {
		u, err := resolve(base, v.URI)
		if err != nil {
			p.found.add("playlist.uri", checkup.Problem, fmt.Sprintf("A variant has %v.", err), "")
			continue
		}
		within, cancel := context.WithTimeout(ctx, dialTimeout)
		a, err := p.client.get(within, mediaList, u, "", maxPlaylist)
		if err == nil {
			a.close()
			if a.status != http.StatusOK {
				err = fmt.Errorf("status %d", a.status)
			}
		}
		cancel()
		if err != nil && ctx.Err() == nil {
			p.found.add("variant.missing", checkup.Problem, fmt.Sprintf("The variant of %d bit/s cannot be fetched: %v.", v.Bandwidth, plain(err)), "Players that choose it stop. List only what is there.")
		}
	}
}
