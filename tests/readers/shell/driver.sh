# One call for each line of input; what happened is printed.

. ./guide.sh
exec 3>&1

request() {
    url=$SIMULATOR_URL/cgi-bin/get_api_domain_ip?access_token=$1
    answer=$(printf 'url = "%s"\n' "$url" | curl --silent --show-error --max-time 5 --config -) || return
    errcode=$(printf %s "$answer" | sed -n 's/.*"errcode":\([0-9]*\).*/\1/p')
    echo "${errcode:-accepted} $1" >&3
    printf '%s\n' "$answer"
}

while read -r _; do
    if call "$CREDENTIAL_ID" request </dev/null >/dev/null; then echo done; else echo failed; fi
done
