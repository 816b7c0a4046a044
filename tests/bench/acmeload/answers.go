package main

import (
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"path"
	"sync"
	"time"
)

// web answers http-01 challenges (RFC 8555 §8.3).
type web struct {
	answers sync.Map
}

func (w *web) serve(address string) error {
	if address == "" {
		return nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: w, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return nil
}

// ServeHTTP finds the answer by its token, the last part of the path.
func (w *web) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	answer, known := w.answers.Load(path.Base(request.URL.Path))
	if text, isText := answer.(string); known && isText {
		_, _ = io.WriteString(writer, text)
		return
	}
	http.NotFound(writer, request)
}

func (w *web) offer(token, thumbprint string) { w.answers.Store(token, token+"."+thumbprint) }
func (w *web) withdraw(token string)          { w.answers.Delete(token) }

// serveNames is a name server that knows one answer: whatever the name, its address is 127.0.0.1, and it has nothing else.
func serveNames(address string) error {
	if address == "" {
		return nil
	}
	socket, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go answerOn(connection)
		}
	}()
	go func() {
		question := make([]byte, 1500)
		for {
			length, from, err := socket.ReadFrom(question)
			if err != nil {
				return
			}
			if answer := answerTo(question[:length]); answer != nil {
				_, _ = socket.WriteTo(answer, from)
			}
		}
	}()
	return nil
}

// answerOn answers by TCP, where two octets before each message say how long it is (RFC 1035 §4.2.2).
func answerOn(connection net.Conn) {
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(10 * time.Second))
	var length [2]byte
	for {
		if _, err := io.ReadFull(connection, length[:]); err != nil {
			return
		}
		question := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(connection, question); err != nil {
			return
		}
		answer := answerTo(question)
		if answer == nil {
			return
		}
		binary.BigEndian.PutUint16(length[:], uint16(len(answer)))
		if _, err := connection.Write(append(length[:], answer...)); err != nil {
			return
		}
	}
}

// answerTo makes a message of RFC 1035 §4.1: the header, the question as it came, and an address where one was asked for.
func answerTo(question []byte) []byte {
	const headerLength, typeA = 12, 1
	if len(question) < headerLength || binary.BigEndian.Uint16(question[4:]) != 1 {
		return nil
	}
	end := headerLength
	for end < len(question) && question[end] != 0 {
		end += int(question[end]) + 1
	}
	end += 5 // the root label, type and class
	if end > len(question) {
		return nil
	}
	answer := append([]byte{}, question[:end]...)
	binary.BigEndian.PutUint16(answer[2:], 0x8580) // an answer, authoritative, recursion wanted and available, no error
	for _, count := range []int{6, 8, 10} {
		binary.BigEndian.PutUint16(answer[count:], 0)
	}
	if binary.BigEndian.Uint16(question[end-4:]) == typeA {
		binary.BigEndian.PutUint16(answer[6:], 1)
		// The name of the question, type A, class IN, 60 seconds, 4 octets.
		answer = append(answer, 0xc0, headerLength, 0, typeA, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1)
	}
	return answer
}
