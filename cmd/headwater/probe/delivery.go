package probe

import (
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"headwater/origin/checkup"
)

// delivery notes how answers come, whatever is in them.
type delivery struct {
	mu   sync.Mutex
	seen map[kind]*headers // guarded by mu
}

// headers counts what the answers of a kind had.
type headers struct {
	answers   int // of status 200 and 206
	redirects int
	cookies   int
	noCORS    int
	gzip      int
	length    int64 // the longest Content-Length of one that was not compressed
	types     map[string]int
	noCache   int           // no word about caching
	uncached  int           // forbidden, or for no time at all
	maxAge    time.Duration // the longest
	age       time.Duration // the oldest answer of a cache
	first     time.Duration // slowest first byte
}

const maxTypes = 8

func (d *delivery) look(k kind, a *answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	h := d.seen[k]
	if h == nil {
		h = &headers{types: map[string]int{}}
		d.seen[k] = h
	}
	h.redirects += a.redirects
	if a.status != http.StatusOK && a.status != http.StatusPartialContent {
		return
	}
	h.answers++
	h.first = max(h.first, a.first)
	if len(a.header.Values("Set-Cookie")) > 0 {
		h.cookies++
	}
	if o := a.header.Get("Access-Control-Allow-Origin"); o != "*" && o != "https://player.invalid" {
		h.noCORS++
	}
	if a.header.Get("Content-Encoding") == "gzip" {
		h.gzip++
	} else if n, err := strconv.ParseInt(a.header.Get("Content-Length"), 10, 64); err == nil {
		h.length = max(h.length, n)
	}
	t, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	if t = fmt.Sprintf("%.60s", t); len(h.types) < maxTypes || h.types[t] > 0 {
		h.types[t]++
	}
	// The answer to one question about the future may be kept for longer.
	if !a.url.Query().Has("_HLS_msn") {
		h.caching(a.header)
	}
}

// rename moves what was asked for before it was known what it is.
func (d *delivery) rename(from, to kind) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if h := d.seen[from]; h != nil {
		d.seen[to] = h
		delete(d.seen, from)
	}
}

func (h *headers) caching(header http.Header) {
	if n, err := strconv.Atoi(header.Get("Age")); err == nil && n > 0 {
		h.age = max(h.age, time.Duration(min(n, 1<<30))*time.Second)
	}
	said := strings.ToLower(strings.Join(header.Values("Cache-Control"), ","))
	if said == "" {
		if header.Get("Expires") == "" {
			h.noCache++
		}
		return
	}
	age := -1
	for directive := range strings.SplitSeq(said, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch name {
		case "no-store", "no-cache", "private":
			age = 0
		case "max-age", "s-maxage":
			if n, err := strconv.Atoi(strings.Trim(value, `"`)); err == nil && age != 0 {
				age = max(age, n)
			}
		}
	}
	if age == 0 {
		h.uncached++
	}
	h.maxAge = max(h.maxAge, time.Duration(min(age, 1<<30))*time.Second)
}

// Types of content that players and CDNs know, by kind.
var knownTypes = map[kind][]string{
	multivariant: {"application/vnd.apple.mpegurl", "audio/mpegurl", "application/x-mpegurl", "audio/x-mpegurl"},
	mediaList:    {"application/vnd.apple.mpegurl", "audio/mpegurl", "application/x-mpegurl", "audio/x-mpegurl"},
	initSection:  {"video/mp4", "audio/mp4", "video/iso.segment", "application/mp4"},
	segment:      {"video/mp2t", "video/mp4", "audio/mp4", "video/iso.segment", "application/mp4", "audio/aac", "audio/mpeg"},
	part:         {"video/mp2t", "video/mp4", "audio/mp4", "video/iso.segment", "application/mp4", "audio/aac", "audio/mpeg"},
	endless:      {"video/x-flv", "video/mp2t"},
}

// rules are about the answers of one kind; %s is for all the kinds that break one.
var rules = []struct {
	code     string
	severity checkup.Severity
	broken   func(k kind, h *headers) bool
	text     string
	advice   string
}{
	{"delivery.redirects", checkup.Warning, func(_ kind, h *headers) bool { return h.redirects > 0 },
		"Requests for %s are redirected: each costs viewers a round trip more.", "Give players the address that answers."},
	{"delivery.cookies", checkup.Warning, func(_ kind, h *headers) bool { return h.cookies > 0 },
		"Cookies come with %s: shared caches will not keep them.", "Send no Set-Cookie with media."},
	{"delivery.cors", checkup.Warning, func(_ kind, h *headers) bool { return h.noCORS > 0 },
		"Pages of other sites may not read %s.", "Send Access-Control-Allow-Origin: * (or the player's site), unless only apps and your own site play it."},
	{"delivery.slow", checkup.Warning, func(k kind, h *headers) bool { return h.first > slowAnswer && k != mediaList && k != part },
		"The first byte of %s took more than two seconds.", "Look at the load of the server and at the way to it."},
	{"cache.media", checkup.Warning, func(k kind, h *headers) bool { return cacheable(k) && h.uncached > 0 },
		"No cache may keep %s: every viewer is served by the origin.", "Send Cache-Control: public, max-age=31536000, immutable, if names are never used again."},
	{"cache.media", checkup.Info, func(k kind, h *headers) bool { return cacheable(k) && h.uncached == 0 && h.noCache > 0 },
		"Nothing says how long %s may be kept; caches will guess.", "Send Cache-Control: max-age."},
	{"cache.playlist", checkup.Info, func(k kind, h *headers) bool { return k == mediaList && h.noCache > 0 },
		"Nothing says how long %s may be kept; caches will guess.", "Send Cache-Control: max-age with half of EXT-X-TARGETDURATION."},
}

// slowAnswer is not for playlists and parts, which may be held on purpose.
const slowAnswer = 2 * time.Second

func cacheable(k kind) bool { return k == segment || k == part || k == initSection }

// check says what the headers mean. live is whether playlists change, target how
// often.
func (d *delivery) check(live bool, target time.Duration) []checkup.Finding {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := &findings{}
	kinds := slices.Sorted(maps.Keys(d.seen))
	for _, r := range rules {
		var broken []string
		for _, k := range kinds {
			if r.broken(k, d.seen[k]) {
				broken = append(broken, string(k))
			}
		}
		if len(broken) > 0 {
			f.add(r.code, r.severity, fmt.Sprintf(r.text, strings.Join(broken, ", ")), r.advice)
		}
	}
	for _, k := range kinds {
		for _, t := range slices.Sorted(maps.Keys(d.seen[k].types)) {
			if !slices.Contains(knownTypes[k], strings.ToLower(t)) {
				f.add("delivery.content_type", checkup.Warning, fmt.Sprintf("The Content-Type of %s is %q: some players refuse it.", k, t), "Send "+knownTypes[k][0]+", or what fits the container.")
			}
		}
	}
	if h := d.seen[mediaList]; h != nil {
		h.checkPlaylists(f, live, target)
	}
	return f.all
}

func (h *headers) checkPlaylists(f *findings, live bool, target time.Duration) {
	if live && target > 0 && h.age > target {
		f.add("cache.old_playlist", checkup.Problem, fmt.Sprintf("A cache answered with a playlist that was %s old: viewers run out of media.", seconds(h.age)), "Let caches keep playlists for half of EXT-X-TARGETDURATION at most.")
	}
	if live && target > 0 && h.maxAge > target {
		f.add("cache.playlist_long", checkup.Problem, fmt.Sprintf("Caches may keep a live playlist for %s, longer than a segment: viewers run out of media.", seconds(h.maxAge)), "Send Cache-Control: max-age with half of EXT-X-TARGETDURATION.")
	}
	if h.gzip == 0 && h.length > 4<<10 {
		f.add("delivery.gzip", checkup.Info, fmt.Sprintf("Playlists of %d bytes are not compressed.", h.length), "Compress application/vnd.apple.mpegurl: they are asked for over and over.")
	}
}

// findings collects them, one of each code and text.
type findings struct{ all []checkup.Finding }

func (f *findings) add(code string, s checkup.Severity, text, advice string) {
	one := checkup.Finding{Code: code, Severity: s, Text: text, Advice: advice}
	if !slices.Contains(f.all, one) {
		f.all = append(f.all, one)
	}
}

func seconds(d time.Duration) string {
	if d < time.Second && d > -time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
