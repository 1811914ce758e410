package admin

import (
	"net/http"
	"time"

	"headwater/origin/checkup"
)

// checkup says what is wrong with a stream as its encoder sends it.
func (a *api) checkup(w http.ResponseWriter, r *http.Request) error {
	s, err := a.find(r)
	if err != nil {
		return err
	}
	findings := checkup.Check(checkup.FromStream(s, a.config.History.Drift(s), time.Now()))
	checkup.Sort(findings)
	return answerJSON(w, r, http.StatusOK, struct {
		Worst    checkup.Severity  `json:"worst"`
		Findings []checkup.Finding `json:"findings"`
	}{checkup.Worst(findings), listed(findings)})
}
