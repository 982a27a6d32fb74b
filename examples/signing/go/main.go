// Sign and publish one signal: go run . FIELD VALUE [FIELD VALUE]...
package main

import (
	"bufio"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"
)

// canonical is what is signed: a version, the stream, and every field but sig, each with its
// length in bytes. Names of fields are in lower case.
func canonical(stream string, fields map[string]string) string {
	names := make([]string, 0, len(fields))
	for name := range fields {
		if name != "sig" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	text := "signalpaca-v1\n" + line("stream", stream)
	for _, name := range names {
		text += line(name, fields[name])
	}
	return text
}

func line(name, value string) string {
	return fmt.Sprintf("%s=%d:%s\n", name, len(value), value)
}

// sign returns the HMAC-SHA256 as 64 lower-case hexadecimal digits.
func sign(secret, stream string, fields map[string]string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(canonical(stream, fields)))
	return hex.EncodeToString(mac.Sum(nil))
}

func main() {
	words := os.Args[1:]
	if len(words) == 0 || len(words)%2 != 0 {
		fmt.Fprintln(os.Stderr, "usage: sign_and_publish FIELD VALUE [FIELD VALUE]...")
		os.Exit(2)
	}
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		fail(err)
	}
	kid, secret, _ := strings.Cut(os.Getenv("SIGNAL_HMAC_KEY"), ":")
	stream := env("STREAM", "nvda")
	fields := map[string]string{
		"signal_id": hex.EncodeToString(id),
		"ts":        strconv.FormatInt(time.Now().UnixMilli(), 10),
		"kid":       kid,
	}
	for i := 0; i < len(words); i += 2 {
		fields[strings.ToLower(words[i])] = words[i+1]
	}
	fields["sig"] = sign(secret, stream, fields)
	if os.Getenv("SIGN_ONLY") != "" {
		fmt.Println(fields["sig"])
		return
	}
	command := []string{"XADD", stream, "*"}
	for name, value := range fields {
		command = append(command, name, value)
	}
	entryID, err := redis(env("REDIS_URL", "redis://localhost:6379/0"), command)
	if err != nil {
		fail(err)
	}
	fmt.Println(entryID)
}

// redis sends one command to redis:// and returns its answer, a text; with a client library, use
// that.
func redis(address string, command []string) (string, error) {
	where, err := url.Parse(address)
	if err != nil {
		return "", errors.New("REDIS_URL is not a URL")
	}
	port := where.Port()
	if port == "" {
		port = "6379"
	}
	connection, err := net.DialTimeout("tcp", net.JoinHostPort(where.Hostname(), port), 5*time.Second)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	commands := [][]string{}
	if password, given := where.User.Password(); given {
		user := where.User.Username()
		if user == "" {
			user = "default"
		}
		commands = append(commands, []string{"AUTH", user, password})
	}
	if database := strings.Trim(where.Path, "/"); database != "" {
		commands = append(commands, []string{"SELECT", database})
	}
	answers := bufio.NewReader(connection)
	answer := ""
	for _, words := range append(commands, command) {
		text := fmt.Sprintf("*%d\r\n", len(words))
		for _, word := range words {
			text += fmt.Sprintf("$%d\r\n%s\r\n", len(word), word)
		}
		if _, err := connection.Write([]byte(text)); err != nil {
			return "", err
		}
		answer, err = read(answers)
		if err != nil {
			return "", err
		}
	}
	return answer, nil
}

// read reads one answer: +OK, -an error, or $LENGTH and a text.
func read(answers *bufio.Reader) (string, error) {
	head, err := answers.ReadString('\n')
	if err != nil {
		return "", err
	}
	head = strings.TrimSpace(head)
	if strings.HasPrefix(head, "-") {
		return "", errors.New(head[1:])
	}
	if !strings.HasPrefix(head, "$") {
		return head, nil
	}
	text, err := answers.ReadString('\n')
	return strings.TrimSpace(text), err
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "not published:", err)
	os.Exit(1)
}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}
