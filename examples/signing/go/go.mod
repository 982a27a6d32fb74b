module sign_and_publish

go 1.19
