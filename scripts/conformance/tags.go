package conformance

// tagValue is what stands behind a tag's name.
type tagValue uint8

const (
	valueNone tagValue = iota
	valueInteger
	valueText
	valueAttributes
)

// tagSpec describes one tag of the protocol.
type tagSpec struct {
	value    tagValue
	once     bool // at most one in a playlist
	media    bool // may stand in a media playlist
	multi    bool // may stand in a multivariant playlist
	floor    int  // lowest EXT-X-VERSION (bis 8)
	attrs    map[string]attrKind
	required []string
}

// tagSpecs are all the tags of bis 4.4. What is not here does not belong into a
// playlist of this server.
var tagSpecs = map[string]tagSpec{
	"EXTM3U":                     {once: true, media: true, multi: true},
	"EXT-X-VERSION":              {value: valueInteger, once: true, media: true, multi: true},
	"EXT-X-INDEPENDENT-SEGMENTS": {once: true, media: true, multi: true},
	"EXT-X-START": {value: valueAttributes, once: true, media: true, multi: true,
		attrs: map[string]attrKind{"TIME-OFFSET": decimalFloat, "PRECISE": enumerated}, required: []string{"TIME-OFFSET"}},
	"EXT-X-DEFINE": {value: valueAttributes, media: true, multi: true, floor: 8,
		attrs: map[string]attrKind{"NAME": quotedString, "VALUE": quotedString, "IMPORT": quotedString, "QUERYPARAM": quotedString}},

	"EXT-X-TARGETDURATION":         {value: valueInteger, once: true, media: true},
	"EXT-X-MEDIA-SEQUENCE":         {value: valueInteger, once: true, media: true},
	"EXT-X-DISCONTINUITY-SEQUENCE": {value: valueInteger, once: true, media: true},
	"EXT-X-ENDLIST":                {once: true, media: true},
	"EXT-X-PLAYLIST-TYPE":          {value: valueText, once: true, media: true},
	"EXT-X-I-FRAMES-ONLY":          {once: true, media: true, floor: 4},
	"EXT-X-PART-INF": {value: valueAttributes, once: true, media: true,
		attrs: map[string]attrKind{"PART-TARGET": decimalFloat}, required: []string{"PART-TARGET"}},
	"EXT-X-SERVER-CONTROL": {value: valueAttributes, once: true, media: true,
		attrs: map[string]attrKind{"CAN-SKIP-UNTIL": decimalFloat, "CAN-SKIP-DATERANGES": enumerated,
			"HOLD-BACK": decimalFloat, "PART-HOLD-BACK": decimalFloat, "CAN-BLOCK-RELOAD": enumerated}},
	"EXT-X-SKIP": {value: valueAttributes, once: true, media: true, floor: 9,
		attrs:    map[string]attrKind{"SKIPPED-SEGMENTS": decimalInteger, "RECENTLY-REMOVED-DATERANGES": quotedString},
		required: []string{"SKIPPED-SEGMENTS"}},

	"EXTINF":                  {value: valueText, media: true},
	"EXT-X-BYTERANGE":         {value: valueText, media: true, floor: 4},
	"EXT-X-DISCONTINUITY":     {media: true},
	"EXT-X-PROGRAM-DATE-TIME": {value: valueText, media: true},
	"EXT-X-GAP":               {media: true},
	"EXT-X-BITRATE":           {value: valueInteger, media: true},
	"EXT-X-MAP": {value: valueAttributes, media: true, floor: 6,
		attrs: map[string]attrKind{"URI": quotedString, "BYTERANGE": byteRange}, required: []string{"URI"}},
	"EXT-X-KEY": {value: valueAttributes, media: true,
		attrs: map[string]attrKind{"METHOD": enumerated, "URI": quotedString, "IV": hexadecimal,
			"KEYFORMAT": quotedString, "KEYFORMATVERSIONS": quotedString}, required: []string{"METHOD"}},
	"EXT-X-PART": {value: valueAttributes, media: true,
		attrs: map[string]attrKind{"URI": quotedString, "DURATION": decimalFloat, "INDEPENDENT": enumerated,
			"BYTERANGE": byteRange, "GAP": enumerated}, required: []string{"URI", "DURATION"}},
	"EXT-X-PRELOAD-HINT": {value: valueAttributes, media: true,
		attrs: map[string]attrKind{"TYPE": enumerated, "URI": quotedString, "BYTERANGE-START": decimalInteger,
			"BYTERANGE-LENGTH": decimalInteger}, required: []string{"TYPE", "URI"}},
	"EXT-X-RENDITION-REPORT": {value: valueAttributes, media: true,
		attrs: map[string]attrKind{"URI": quotedString, "LAST-MSN": decimalInteger, "LAST-PART": decimalInteger}, required: []string{"URI"}},

	"EXT-X-STREAM-INF": {value: valueAttributes, multi: true,
		attrs: map[string]attrKind{"BANDWIDTH": decimalInteger, "AVERAGE-BANDWIDTH": decimalInteger, "SCORE": decimalFloat,
			"CODECS": quotedString, "SUPPLEMENTAL-CODECS": quotedString, "RESOLUTION": resolution, "FRAME-RATE": decimalFloat,
			"HDCP-LEVEL": enumerated, "ALLOWED-CPC": quotedString, "VIDEO-RANGE": enumerated, "REQ-VIDEO-LAYOUT": quotedString,
			"STABLE-VARIANT-ID": quotedString, "AUDIO": quotedString, "VIDEO": quotedString, "SUBTITLES": quotedString,
			"CLOSED-CAPTIONS": quotedString, "PATHWAY-ID": quotedString}, required: []string{"BANDWIDTH"}},
	"EXT-X-MEDIA": {value: valueAttributes, multi: true,
		attrs: map[string]attrKind{"TYPE": enumerated, "URI": quotedString, "GROUP-ID": quotedString, "LANGUAGE": quotedString,
			"ASSOC-LANGUAGE": quotedString, "NAME": quotedString, "STABLE-RENDITION-ID": quotedString, "DEFAULT": enumerated,
			"AUTOSELECT": enumerated, "FORCED": enumerated, "INSTREAM-ID": quotedString, "BIT-DEPTH": decimalInteger,
			"SAMPLE-RATE": decimalInteger, "CHARACTERISTICS": quotedString, "CHANNELS": quotedString},
		required: []string{"TYPE", "GROUP-ID", "NAME"}},
}
