package webhook

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// allowList is Config.Allow, read. It never changes.
type allowList struct {
	names []allowedName
	nets  []netip.Prefix
}

// allowedName is an entry that is compared with a URL. Empty fields match all.
type allowedName struct {
	scheme, host, port, path string
}

// refusedError is a target that is not allowed.
type refusedError struct{ text string }

func (e *refusedError) Error() string { return e.text }

func refuse(format string, args ...any) error { return &refusedError{fmt.Sprintf(format, args...)} }

// parseAllowList returns nil for no entries: everything is allowed.
func parseAllowList(entries []string) (*allowList, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	a := &allowList{}
	var faults []error
	for i, entry := range entries {
		if err := a.add(strings.TrimSpace(entry)); err != nil {
			faults = append(faults, fmt.Errorf("webhook: config: Allow[%d] %q: %w", i, entry, err))
		}
	}
	return a, errors.Join(faults...)
}

func (a *allowList) add(entry string) error {
	if ip, err := netip.ParseAddr(entry); err == nil && ip.Zone() == "" {
		ip = ip.Unmap()
		a.nets = append(a.nets, netip.PrefixFrom(ip, ip.BitLen()))
		return nil
	}
	if strings.Contains(entry, "://") {
		return a.addURL(entry)
	}
	if strings.Contains(entry, "/") {
		network, err := netip.ParsePrefix(entry)
		if err != nil {
			return errors.New("is no network such as 10.1.0.0/16, and a URL would begin with https://")
		}
		if network != network.Masked() {
			return fmt.Errorf("has bits set behind the network's; write %s", network.Masked())
		}
		a.nets = append(a.nets, network)
		return nil
	}
	host, port := entry, ""
	if strings.Contains(entry, ":") {
		var err error
		if host, port, err = net.SplitHostPort(entry); err != nil {
			return errors.New("is no host and port such as dialer.example.com:8443")
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("has the port %s, which is none", port)
		}
	}
	if err := checkHost(host); err != nil {
		return err
	}
	a.names = append(a.names, allowedName{host: canonicalHost(host), port: port})
	return nil
}

func (a *allowList) addURL(entry string) error {
	u, err := url.Parse(entry)
	switch {
	case err != nil:
		return errors.New("is no URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("must begin with https:// or http://")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("must end with the path")
	}
	if err := checkHost(u.Hostname()); err != nil {
		return err
	}
	a.names = append(a.names, allowedName{
		scheme: u.Scheme, host: canonicalHost(u.Hostname()), port: portOf(u), path: strings.TrimSuffix(u.Path, "/"),
	})
	return nil
}

// checkHost refuses what no host could be called, so that a slip in an entry is
// not an entry that never matches.
func checkHost(host string) error {
	if host == "" {
		return errors.New("names no host")
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	for _, r := range host {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._", r) {
			return fmt.Errorf("has %q, which a host's name has not (write foreign names as xn--…, and each host by itself)", r)
		}
	}
	return nil
}

// canonicalHost is a host in the one form in which hosts are compared.
func canonicalHost(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().String()
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// portOf returns the port that a request for u goes to.
func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// named reports whether an entry allows the URL as it is written.
func (a *allowList) named(u *url.URL) bool {
	host, port := canonicalHost(u.Hostname()), portOf(u)
	for _, n := range a.names {
		if n.host == host && (n.port == "" || n.port == port) && (n.scheme == "" || n.scheme == u.Scheme) && n.holds(u) {
			return true
		}
	}
	return false
}

// holds reports whether the URL's path begins with the entry's, at a whole
// element.
func (n allowedName) holds(u *url.URL) bool {
	if n.path == "" {
		return true
	}
	// A path with .. or // in it, however it is escaped, may lead elsewhere than
	// it seems to.
	clean := path.Clean(u.Path)
	if clean != u.Path && clean+"/" != u.Path {
		return false
	}
	return clean == n.path || strings.HasPrefix(clean, n.path+"/")
}

// inNets reports whether an entry allows the address.
func (a *allowList) inNets(ip netip.Addr) bool {
	for _, network := range a.nets {
		if network.Contains(ip) {
			return true
		}
	}
	return false
}

// checkNamed checks the address that a host resolved to, which an entry allows
// by name.
func (a *allowList) checkNamed(host string, ip netip.Addr) error {
	host = canonicalHost(host)
	literal, err := netip.ParseAddr(host)
	switch {
	case err == nil && literal == ip, public(ip), a.inNets(ip), host == "localhost" && ip.IsLoopback():
		return nil
	}
	return refuse("%s is allowed by name, and resolves to %s, which is not a public address: that needs an entry of its own in the list of allowed targets",
		host, ip)
}

// checkNets checks the address that a host resolved to, which no entry allows
// by name.
func (a *allowList) checkNets(host string, ip netip.Addr) error {
	if a.inNets(ip) {
		return nil
	}
	return refuse("%s is not in the list of allowed targets, nor is its address %s", host, ip)
}

// internal are the networks that are not of the public internet and that
// netip.Addr has no method for.
var internal = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network
	netip.MustParsePrefix("100.64.0.0/10"),   // shared by carriers
	netip.MustParsePrefix("192.0.0.0/24"),    // protocol assignments
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved, and broadcast
	netip.MustParsePrefix("64:ff9b::/96"),    // IPv4, translated
	netip.MustParsePrefix("64:ff9b:1::/48"),  // the same, locally
	netip.MustParsePrefix("2001::/32"),       // IPv4, in a tunnel
	netip.MustParsePrefix("2002::/16"),       // IPv4, in a tunnel
	netip.MustParsePrefix("fec0::/10"),       // site-local
	netip.MustParsePrefix("::ffff:0:0:0/96"), // IPv4, translated
}

// public reports whether an address is one of the public internet.
func public(ip netip.Addr) bool {
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return false // loopback, link-local and multicast among them
	}
	for _, network := range internal {
		if network.Contains(ip) {
			return false
		}
	}
	return true
}
