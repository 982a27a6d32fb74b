// Package redis stands in for go-redis where no index carries it: the names that the examples use,
// spoken to a real server.
package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// Options says where the server is.
type Options struct{ Addr string }

// ParseURL reads redis://host:port/0.
func ParseURL(text string) (*Options, error) {
	parsed, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	return &Options{Addr: parsed.Host}, nil
}

// Client makes a connection for each command.
type Client struct{ options *Options }

// NewClient sends nothing yet.
func NewClient(options *Options) *Client { return &Client{options} }

// Close has nothing to close.
func (c *Client) Close() error { return nil }

// XAddArgs are those of XADD.
type XAddArgs struct {
	Stream string
	Values []string
}

// StringCmd is an answer.
type StringCmd struct {
	value string
	err   error
}

// Result is the answer's text, or what went wrong.
func (s *StringCmd) Result() (string, error) { return s.value, s.err }

// XAdd appends to a stream.
func (c *Client) XAdd(ctx context.Context, args *XAddArgs) *StringCmd {
	value, err := c.command(ctx, append([]string{"XADD", args.Stream, "*"}, args.Values...))
	return &StringCmd{value, err}
}

func (c *Client) command(ctx context.Context, words []string) (string, error) {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "tcp", c.options.Addr)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	connection.SetDeadline(time.Now().Add(10 * time.Second))
	var request strings.Builder
	fmt.Fprintf(&request, "*%d\r\n", len(words))
	for _, word := range words {
		fmt.Fprintf(&request, "$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := connection.Write([]byte(request.String())); err != nil {
		return "", err
	}
	reader := bufio.NewReader(connection)
	line, err := reader.ReadString('\n')
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(line, "$") {
		return "", errors.New(strings.TrimSpace(line))
	}
	value, err := reader.ReadString('\n')
	return strings.TrimSpace(value), err
}
