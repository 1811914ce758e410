package conformance

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// attrKind is the type of an attribute's value (bis 4.2).
type attrKind uint8

const (
	decimalInteger attrKind = iota + 1
	decimalFloat
	quotedString
	enumerated
	resolution
	hexadecimal
	byteRange // a quoted string of the form N or N@O
)

// Attributes is a parsed attribute list. Quoted strings are kept without their
// quotes.
type Attributes map[string]string

var (
	attributeName = regexp.MustCompile(`^[A-Z0-9-]+$`)
	attributeForm = map[attrKind]*regexp.Regexp{
		decimalInteger: regexp.MustCompile(`^[0-9]{1,20}$`),
		decimalFloat:   regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`),
		quotedString:   regexp.MustCompile(`^"[^"\r\n]*"$`),
		enumerated:     regexp.MustCompile(`^[^",\s]+$`),
		resolution:     regexp.MustCompile(`^[0-9]+x[0-9]+$`),
		hexadecimal:    regexp.MustCompile(`^0[xX][0-9A-F]+$`),
		byteRange:      regexp.MustCompile(`^"[0-9]+(@[0-9]+)?"$`),
	}
)

// parseAttributes reads an attribute list against the names that its tag knows.
// Everything that is wrong is told to fail.
func parseAttributes(list string, known map[string]attrKind, fail func(rule, text string)) Attributes {
	attrs := Attributes{}
	for rest := list; rest != ""; {
		name, after, ok := strings.Cut(rest, "=")
		if !ok || !attributeName.MatchString(name) {
			fail("list.attributes", fmt.Sprintf("no attribute at %q", rest))
			return attrs
		}
		value := after
		rest = ""
		if strings.HasPrefix(after, `"`) {
			end := strings.IndexByte(after[1:], '"')
			if end < 0 {
				fail("list.attributes", "a quoted string does not end: "+after)
				return attrs
			}
			value, rest = after[:end+2], after[end+2:]
			if rest != "" && rest[0] != ',' {
				fail("list.attributes", fmt.Sprintf("%q behind a quoted string", rest))
				return attrs
			}
			rest = strings.TrimPrefix(rest, ",")
		} else if comma := strings.IndexByte(after, ','); comma >= 0 {
			value, rest = after[:comma], after[comma+1:]
		}
		if _, twice := attrs[name]; twice {
			fail("list.attributes", name+" stands twice")
		}
		kind, ok := known[name]
		if !ok {
			fail("list.attributes", "unknown attribute "+name)
		} else if !attributeForm[kind].MatchString(value) {
			fail("list.attributes", name+"="+value+" is not of its type")
		}
		attrs[name] = strings.Trim(value, `"`)
	}
	return attrs
}

// seconds reads a decimal-floating-point number of seconds, exactly to the
// nanosecond.
func (a Attributes) seconds(name string) (time.Duration, bool) {
	d, _, err := parseSeconds(a[name])
	return d, err == nil
}

func (a Attributes) integer(name string) (uint64, bool) {
	n, err := strconv.ParseUint(a[name], 10, 64)
	return n, err == nil
}

// parseSeconds reads "6", "6.0" or "5.97267" and says how many decimals there
// were.
func parseSeconds(s string) (d time.Duration, decimals int, err error) {
	if !attributeForm[decimalFloat].MatchString(s) {
		return 0, 0, fmt.Errorf("%q is no decimal number", s)
	}
	whole, fraction, _ := strings.Cut(s, ".")
	decimals = len(fraction)
	seconds, err := strconv.ParseInt(whole, 10, 32)
	if err != nil {
		return 0, 0, err
	}
	fraction = (fraction + "000000000")[:9]
	nanos, err := strconv.ParseInt(fraction, 10, 64)
	return time.Duration(seconds)*time.Second + time.Duration(nanos), decimals, err
}
