package admin

import (
	"errors"
	"net/http"
	"time"
)

func (a *api) server(w http.ResponseWriter, r *http.Request) error {
	s := a.config.Server
	s.Uptime, s.Ready = seconds(time.Since(s.Started)), a.config.Ready()
	if s.Listeners == nil {
		s.Listeners = map[string]string{}
	}
	return answerJSON(w, r, http.StatusOK, s)
}

func (a *api) publishers(w http.ResponseWriter, r *http.Request) error {
	return answerJSON(w, r, http.StatusOK, struct {
		Publishers []Publisher `json:"publishers"`
	}{listed(a.config.Publishers())})
}

func (a *api) viewers(w http.ResponseWriter, r *http.Request) error {
	return answerJSON(w, r, http.StatusOK, struct {
		Viewers []Viewer `json:"viewers"`
	}{listed(a.config.Viewers())})
}

func (a *api) kickViewer(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if !a.config.KickViewer(id) {
		return NewProblem(http.StatusNotFound, "no such viewer")
	}
	a.log.Info("viewer kicked", "viewer", id, "by", r.RemoteAddr)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *api) relays(w http.ResponseWriter, r *http.Request) error {
	return answerJSON(w, r, http.StatusOK, struct {
		Relays []Relay `json:"relays"`
	}{listed(a.config.Relays())})
}

// listed returns a list that JSON has as [] when it is empty.
func listed[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

// ErrNoKey says that there is no key of that id.
var ErrNoKey = errors.New("no such key")

// Keys are the publish keys that the API has made. Its methods return a *Problem
// where the client is to be told.
type Keys interface {
	List() []Key
	Create(KeyOrder) (NewKey, error)
	Revoke(id string) error // ErrNoKey
}

// noKeys is a server that keeps none.
type noKeys struct{}

func (noKeys) List() []Key { return nil }

func (noKeys) Create(KeyOrder) (NewKey, error) {
	return NewKey{}, NewProblem(http.StatusConflict, "this server keeps no keys")
}

func (noKeys) Revoke(string) error { return ErrNoKey }

func (a *api) keys(w http.ResponseWriter, r *http.Request) error {
	return answerJSON(w, r, http.StatusOK, struct {
		Keys []Key `json:"keys"`
	}{listed(a.config.Keys.List())})
}

func (a *api) createKey(w http.ResponseWriter, r *http.Request) error {
	var order KeyOrder
	if err := readJSON(r, &order); err != nil {
		return err
	}
	key, err := a.config.Keys.Create(order)
	if err != nil {
		return err
	}
	a.log.Info("publish key made", "key", key.ID, "name", key.Name, "by", r.RemoteAddr)
	w.Header().Set("Location", "/api/v1/keys/"+key.ID)
	return answerJSON(w, r, http.StatusCreated, key)
}

func (a *api) revokeKey(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	err := a.config.Keys.Revoke(id)
	if errors.Is(err, ErrNoKey) {
		return NewProblem(http.StatusNotFound, "no such key; those of the configuration are not kept here")
	}
	if err != nil {
		return err
	}
	a.log.Info("publish key revoked", "key", id, "by", r.RemoteAddr)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *api) reload(w http.ResponseWriter, r *http.Request) error {
	done, err := a.config.Reload()
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if err != nil {
		return NewProblem(http.StatusUnprocessableEntity, "%s", err.Error())
	}
	done.Changed, done.Restart = listed(done.Changed), listed(done.Restart)
	return answerJSON(w, r, http.StatusOK, done)
}
