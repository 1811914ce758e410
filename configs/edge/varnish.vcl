# A caching edge in front of Headwater, for Varnish 7.
#
# What the cache key holds: the path and _HLS_msn, _HLS_part, _HLS_skip. What it
# must not hold: any other query parameter (tokens, CMCD), cookies, the Host. What
# is not in the key does not reach the origin either. Varnish asks the origin for
# gzip and unpacks it for clients that do not take it.
vcl 4.1;

backend headwater {
  .host = "{{.Host}}";
  .port = "{{.Port}}";
  .connect_timeout = 2s;
  # The origin holds a request for at most three target durations.
  .first_byte_timeout = 40s;
  .between_bytes_timeout = 10s;
}

sub vcl_recv {
  if (req.method != "GET" && req.method != "HEAD" && req.method != "OPTIONS") {
    return (synth(405));
  }
  unset req.http.Cookie;
  unset req.http.Authorization;
  if (req.url ~ "^/[A-Za-z0-9._~-]+/[A-Za-z0-9._~-]+\.(flv|ts)(\?|$)") {
    return (pipe); # it has no end
  }
  # Keep the delivery directives and nothing else, always in the same order.
  set req.http.X-Headwater = "";
  if (req.url ~ "[?&]_HLS_msn=[0-9]+(&|$)") {
    set req.http.X-Headwater = req.http.X-Headwater + regsub(req.url, "^.*?[?&](_HLS_msn=[0-9]+).*$", "\1&");
  }
  if (req.url ~ "[?&]_HLS_part=[0-9]+(&|$)") {
    set req.http.X-Headwater = req.http.X-Headwater + regsub(req.url, "^.*?[?&](_HLS_part=[0-9]+).*$", "\1&");
  }
  if (req.url ~ "[?&]_HLS_skip=(YES|v2)(&|$)") {
    set req.http.X-Headwater = req.http.X-Headwater + "_HLS_skip=YES&";
  }
  set req.url = regsub(req.url, "\?.*$", "");
  if (req.http.X-Headwater != "") {
    set req.url = req.url + "?" + regsub(req.http.X-Headwater, "&$", "");
  }
  unset req.http.X-Headwater;
  if (req.method == "OPTIONS") {
    return (pass);
  }
  return (hash);
}

sub vcl_hash {
  hash_data(req.url);
  return (lookup);
}

sub vcl_pipe {
  set bereq.http.Connection = "close";
  if (req.http.Upgrade) { # a WebSocket
    set bereq.http.Upgrade = req.http.Upgrade;
    set bereq.http.Connection = req.http.Connection;
  }
}

sub vcl_backend_response {
  # The origin says how long; nothing is served a moment longer, for an old
  # playlist stalls players.
  set beresp.grace = 0s;
  set beresp.keep = 0s;
  # Segments and parts are large and wanted soon: hand them on while they come in.
  set beresp.do_stream = true;
  if (beresp.status >= 500) {
    set beresp.ttl = 0s;
    set beresp.uncacheable = false;
  }
  return (deliver);
}

sub vcl_deliver {
  if (obj.hits > 0) {
    set resp.http.X-Cache = "HIT";
  } else {
    set resp.http.X-Cache = "MISS";
  }
  unset resp.http.Via;
  unset resp.http.X-Varnish;
}
