//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
)

// tag is one tag of an FLV file.
type tag struct {
	typ  byte
	time uint32 // ms
	body []byte
}

// readFLV reads a whole FLV file. A last tag that is cut off is left out.
func readFLV(path string) ([]tag, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(b) < 13 || string(b[:3]) != "FLV" {
		return nil, fmt.Errorf("%s is no FLV file", path)
	}
	var tags []tag
	for b = b[13:]; len(b) >= 15; {
		n := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		if n > len(b)-15 {
			break
		}
		time := uint32(b[7])<<24 | uint32(b[4])<<16 | uint32(b[5])<<8 | uint32(b[6])
		tags = append(tags, tag{b[0] & 0x1f, time, b[11 : 11+n]})
		b = b[15+n:]
	}
	if len(tags) < 2 {
		return nil, errors.New("an FLV file without media")
	}
	return tags, nil
}
