package config

import (
	"strings"
)

// nearestKey returns the key that a wrong one was probably meant to be: one at
// most two letters away, or of the same name in another section. Separators and
// case do not count, so that it serves the file and the environment alike.
func nearestKey(wrong string) string {
	wanted := letters(wrong)
	best, least := "", 3
	for _, key := range Keys() {
		if d := distance(wanted, letters(key)); d < least {
			best, least = key, d
		}
	}
	if best != "" {
		return best
	}
	last := wrong[strings.LastIndexByte(wrong, '.')+1:]
	for _, key := range Keys() {
		if strings.HasSuffix(key, "."+last) {
			return key
		}
	}
	return ""
}

func letters(s string) string {
	return strings.NewReplacer(".", "", "_", "", "-", "").Replace(strings.ToLower(s))
}

// distance counts the letters to insert, delete or replace to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
