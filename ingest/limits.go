package ingest

import "headwater/ingest/rate"

// SetLimits puts the limits of c in force for whoever comes from now on; those who
// are there stay. Limits are those on connections, players, messages and bit rates,
// the timeouts, and Takeover. What else c holds is not looked at.
func (s *Server) SetLimits(c Config) {
	c.Registry = s.config.Registry
	c, err := c.withDefaults()
	if err != nil {
		return // it fails for want of a Registry alone
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if most := float64(c.MaxRatePerAddress); most != s.rates.PerSecond {
		s.rates = rate.Limit{PerSecond: most}
	}
	s.limits.Store(&c)
}
