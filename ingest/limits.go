package ingest

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
	if rate := float64(c.MaxRatePerAddress); rate != s.rates.rate {
		s.rates = rateLimit{rate: rate}
	}
	s.limits.Store(&c)
}
