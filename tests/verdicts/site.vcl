# config-study's site.vcl with one origin, without probes
vcl 4.1;
import std;
import bodyaccess;
backend shop { .host = "127.0.0.1"; .port = "ORIGIN"; }
sub vcl_recv {
  if (req.url ~ "^/admin(/|$|\?)") { return (pass); }
  set req.url = regsuball(req.url, "(\?|&)utm_[a-z]+=[^&]*", "\1");
  set req.url = regsuball(req.url, "&&+", "&");
  set req.url = regsub(req.url, "\?&", "?");
  set req.url = regsub(req.url, "[?&]$", "");
  if (req.method == "POST" && req.url == "/graphql") {
    std.cache_req_body(64KB);
    return (hash);
  }
}
sub vcl_hash { if (req.method == "POST") { bodyaccess.hash_req_body(); } }
sub vcl_backend_fetch { if (bereq.url == "/graphql") { set bereq.method = "POST"; } }
sub vcl_backend_response {
  set beresp.grace = 1d;
  if (bereq.url == "/graphql") { unset beresp.http.Set-Cookie; set beresp.ttl = 60s; }
  else if (beresp.status == 404) { set beresp.ttl = 10s; }
}
sub vcl_deliver {
  unset resp.http.X-Powered-By;
  set resp.http.Strict-Transport-Security = "max-age=31536000";
}
