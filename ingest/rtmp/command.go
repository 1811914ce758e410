package rtmp

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// command is a command message (RTMP 7.1.1), parsed.
type command struct {
	name   string
	txn    float64 // transaction id; 0: no answer is expected
	object any     // the command object
	args   []any   // what follows it
	stream uint32  // the message stream that it came on
}

// parseCommand reads the body of a command message. ok is false if the body has
// not even a name.
func parseCommand(body []byte, stream uint32) (cmd command, ok bool, err error) {
	values, err := DecodeAMF(body)
	if err != nil || len(values) == 0 {
		return cmd, false, err
	}
	if cmd.name, ok = values[0].(string); !ok {
		return cmd, false, nil
	}
	cmd.stream = stream
	if len(values) > 1 {
		txn, _ := values[1].(float64)
		cmd.txn = cleanNumber(txn)
	}
	if len(values) > 2 {
		cmd.object = values[2]
		cmd.args = values[3:]
	}
	return cmd, true, nil
}

// cleanNumber returns a whole number that fits in 32 bits, or 0.
func cleanNumber(f float64) float64 {
	if f >= 0 && f <= math.MaxUint32 && f == math.Trunc(f) {
		return f
	}
	return 0
}

// text returns argument i if it is a string.
func (c *command) text(i int) string {
	if i < len(c.args) {
		s, _ := c.args[i].(string)
		return s
	}
	return ""
}

// streamID returns argument i as a message stream id. GStreamer sends it as a
// string, and whoever leaves it out means the stream the command came on.
func (c *command) streamID(i int) uint32 {
	if i < len(c.args) {
		switch v := c.args[i].(type) {
		case float64:
			return uint32(cleanNumber(v))
		case string:
			n, _ := strconv.ParseUint(v, 10, 32)
			return uint32(n)
		}
	}
	return c.stream
}

// connect reads a connect command's object (RTMP 7.2.1.1).
func (c *command) connect() Connect {
	o, _ := c.object.(Object)
	con := Connect{
		App:      o.String("app"),
		TcURL:    o.String("tcUrl"),
		FlashVer: o.String("flashVer"),
		PageURL:  o.String("pageUrl"),
		Type:     o.String("type"),
	}
	if con.App == "" {
		con.App = appOf(con.TcURL)
	}
	for _, m := range o {
		switch m.Name {
		case "fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap":
			con.listCodecs(m.Value)
			con.enhanced = true
		case "capsEx":
			con.enhanced = true
		case relayVia:
			via, _ := m.Value.(string)
			con.Via = strings.FieldsFunc(via, func(c rune) bool { return c == ',' })
		}
	}
	return con
}

// listCodecs adds the codecs that a list of FourCCs, or an object with a member for
// each, says that the peer can decode or forward.
func (c *Connect) listCodecs(v any) {
	switch v := v.(type) {
	case Array:
		c.codecs = append(make([]string, 0, len(v)), c.codecs...)
		for _, e := range v {
			if s, ok := e.(string); ok {
				c.codecs = append(c.codecs, s)
			}
		}
	case Object:
		c.codecs = append(make([]string, 0, len(v)), c.codecs...)
		for _, m := range v {
			mask, _ := m.Value.(float64)
			if uint32(cleanNumber(mask))&(canDecode|canForward) != 0 {
				c.codecs = append(c.codecs, m.Name)
			}
		}
	}
}

// accepts reports whether a player wants a codec of Enhanced RTMP. One that lists
// none at all gets what there is: many that play them list nothing.
func (c *Connect) accepts(fourCC string) bool {
	return c.codecs == nil || slices.Contains(c.codecs, fourCC) || slices.Contains(c.codecs, "*")
}

// appOf returns the path of a tcUrl: rtmp://host/APP.
func appOf(tcURL string) string {
	_, rest, _ := strings.Cut(tcURL, "://")
	_, app, _ := strings.Cut(rest, "/")
	return app
}
