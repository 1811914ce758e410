package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"headwater/cmd/headwater/access"
	"headwater/ingest/relay"
)

// EnvPrefix begins the name of every environment variable that sets a key.
const EnvPrefix = "HEADWATER_"

// leaf is one key and the field that it sets.
type leaf struct {
	key   string
	field reflect.Value
}

// leaves returns the keys of c in the order of their declaration.
func leaves(c *Config) []leaf { return appendLeaves(nil, "", reflect.ValueOf(c).Elem()) }

func appendLeaves(ls []leaf, path string, section reflect.Value) []leaf {
	for i := range section.NumField() {
		key := path + section.Type().Field(i).Tag.Get("yaml")
		switch f := section.Field(i); {
		case section.Type().Field(i).Anonymous: // its keys are the section's
			ls = appendLeaves(ls, path, f)
		case f.Kind() == reflect.Struct:
			ls = appendLeaves(ls, key+".", f)
		default:
			ls = append(ls, leaf{key, f})
		}
	}
	return ls
}

// Keys returns the path of every key, such as hls.segment_duration.
func Keys() []string {
	var keys []string
	for _, l := range leaves(new(Config)) {
		keys = append(keys, l.key)
	}
	return keys
}

// EnvName returns the environment variable that sets a key.
func EnvName(key string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// isList reports whether the field holds any number of plain values. The file has
// them as a sequence, the environment and flags with commas between them.
func (l leaf) isList() bool { return l.field.Kind() == reflect.Slice && !l.isTree() }

// set reads a value as the field's type asks.
func (l leaf) set(value string) error {
	switch p := l.field.Addr().Interface().(type) {
	case *string:
		*p = value
	case *Secret:
		*p = Secret(value)
	case *access.Endpoint:
		*p = access.Endpoint(value)
	case *bool:
		if value != "true" && value != "false" {
			return fmt.Errorf("%q is neither true nor false", value)
		}
		*p = value == "true"
	case *int:
		n, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", value)
		}
		*p = n
	case *time.Duration:
		d, err := time.ParseDuration(value)
		if err != nil {
			return fmt.Errorf("%q is not a duration such as 500ms, 2s or 5m", value)
		}
		*p = d
	case *Size:
		n, err := ParseSize(value)
		if err != nil {
			return err
		}
		*p = n
	case *Bitrate:
		n, err := ParseBitrate(value)
		if err != nil {
			return err
		}
		*p = n
	case *[]netip.Prefix:
		n, err := parseNetworks(value)
		if err != nil {
			return err
		}
		*p = n
	case *relay.URL:
		*p = relay.URL(value)
	case *[]access.Key, *[]access.JWTKey, *access.StreamKeys, *[]relay.Push, *[]relay.Pull:
		return l.setTree(value)
	default:
		return fmt.Errorf("type %T cannot be set", p)
	}
	return nil
}
