"""Settings of the site behind the load balancer, one process per instance."""

import os
from urllib.request import Request, urlopen

SECRET_KEY = "only for tests"
DEBUG = False
ROOT_URLCONF = "mysite.urls"
WSGI_APPLICATION = "mysite.wsgi.application"
USE_TZ = True

INSTANCE = os.environ["SITE_INSTANCE"]
ALLOWED_HOSTS = ["mysite.com", "localhost"]

# Django's own order. DisallowedHost is raised in CommonMiddleware, so the 400
# that a refused Host gets is what an untouched project sends.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "mysite.middleware.name_instance",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "USER": "site",
        "HOST": "127.0.0.1",
        "PORT": os.environ["SITE_DATABASE_PORT"],
        "OPTIONS": {"connect_timeout": 2},
    }
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "WARNING"},
}


def private_address(metadata):
    """This instance's private IPv4 address as EC2 tells it (IMDSv2), or None."""
    try:
        ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
        with urlopen(
            Request(metadata + "/latest/api/token", method="PUT", headers=ttl),
            timeout=1,
        ) as answer:
            token = {"X-aws-ec2-metadata-token": answer.read().decode()}
        with urlopen(
            Request(metadata + "/latest/meta-data/local-ipv4", headers=token),
            timeout=1,
        ) as answer:
            return answer.read().decode().strip()
    except OSError:
        return None  # not on EC2: the site runs without it


# Empty: the settings as they were before anybody thought of health checks.
if os.environ.get("SITE_METADATA"):
    address = private_address(os.environ["SITE_METADATA"])
    if address:
        ALLOWED_HOSTS.append(address)
