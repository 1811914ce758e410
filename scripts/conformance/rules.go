package conformance

import (
	"fmt"
	"slices"
	"strings"
)

// Rule is one thing that must hold. Its check is pure.
type Rule struct {
	ID    string
	Ref   string // where it is written
	Text  string
	check func(*view, *report)
}

// Rules returns all rules.
func Rules() []Rule {
	return slices.Concat(grammarRules, listRules, historyRules, timeRules, tsRules, tsVideoRules, tsAudioRules,
		mp4Rules, mediaRules, partRules, hintRules, reloadRules, deltaRules, multiRules, headerRules, httpRules)
}

// Finding is a rule that was broken, and where.
type Finding struct {
	Rule, Ref, What string
}

func (f Finding) String() string { return fmt.Sprintf("%s (%s): %s", f.Rule, f.Ref, f.What) }

// Result is what Check found. Checked counts, by rule, how often there was
// something to look at: a rule that never was has proved nothing.
type Result struct {
	Findings []Finding
	Checked  map[string]int
}

// Check holds a recording against all rules.
func Check(rec *Recording) Result {
	v := newView(rec)
	out := Result{Checked: map[string]int{}}
	for _, rule := range Rules() {
		r := &report{}
		rule.check(v, r)
		out.Checked[rule.ID] = r.checked
		for i, what := range r.findings {
			if i == maxFindings {
				what = fmt.Sprintf("and %d more", len(r.findings)-i)
			}
			out.Findings = append(out.Findings, Finding{rule.ID, rule.Ref, what})
			if i == maxFindings {
				break
			}
		}
	}
	return out
}

// maxFindings is how many of a rule's findings are told.
const maxFindings = 5

// Broken lists the rules that findings name, each once.
func (r Result) Broken() (ids []string) {
	for _, f := range r.Findings {
		if !slices.Contains(ids, f.Rule) {
			ids = append(ids, f.Rule)
		}
	}
	return ids
}

func (r Result) String() string {
	var b strings.Builder
	for _, f := range r.Findings {
		b.WriteString(f.String() + "\n")
	}
	return b.String()
}

// report is what a check writes to.
type report struct {
	checked  int
	findings []string
}

// want counts one look, and a finding where ok is false.
func (r *report) want(ok bool, format string, args ...any) {
	r.checked++
	if !ok {
		r.findings = append(r.findings, fmt.Sprintf(format, args...))
	}
}

// eachRead calls f for every segment of a format that has been read, and the one before it
// in the same run, if any.
func (v *view) eachRead(format string, f func(e, prev *entry)) {
	n := v.format(format)
	if n == nil {
		return
	}
	for _, run := range n.mediaRuns() {
		for i, e := range run {
			var prev *entry
			if i > 0 {
				prev = run[i-1]
			}
			f(e, prev)
		}
	}
}
